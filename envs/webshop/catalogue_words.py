"""The words of the generated catalogue: seven families, what is sold in each, and how it is spoken of.

Few words on purpose: a catalogue of 500 products has no more than about 500 in its titles, attributes, options
and instructions, so that a word-level model can read it. A product's kind names its family (``families.py``);
an attribute may hold a keyword of another ("cable knit", "green tea").
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """Something that is sold; ``pair`` says how one asks for it: "a shirt", "a pair of boots"."""

    noun: str
    section: str
    """The second level of its category path; the third is the noun."""
    attributes: tuple[str, ...]
    pair: bool = False


@dataclass(frozen=True, slots=True)
class Family:
    name: str
    department: str
    """The first level of the category path."""
    styles: tuple[str, ...]
    options: dict[str, tuple[str, ...]]
    """Option → the values that a product's are drawn from."""
    kinds: tuple[Kind, ...]


def _kinds(text: str) -> tuple[Kind, ...]:
    """Entries "noun, section: attribute, …"; a noun that is asked for in pairs ends with ``*``."""
    kinds = []
    for noun, section, listed in re.findall(r"(\S+), (\w+):\s+(.+)", text):
        kinds.append(Kind(noun.rstrip("*"), section, _phrases(listed), pair=noun.endswith("*")))
    return tuple(kinds)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _phrases(text: str) -> tuple[str, ...]:
    return tuple(phrase.strip() for phrase in text.split(","))


COLORS = _words("black white gray navy red green brown pink")
BRANDS = _words(
    "Norvel Tamsin Brackley Ostero Pelwin Quillon Ravendo Sundale Tiveren Umbry Velmora Wexford Yarrin Zelbo Arbexa "
    "Calindo Dorvane Elmeko Fenlow Galtori Hexley Ivaro Jundel Kestra"
)

FAMILIES = (
    Family(
        "apparel",
        "Clothing",
        _words("classic casual slim relaxed striped vintage"),
        {"color": COLORS, "size": _phrases("small, medium, large, x-large")},
        _kinds(
            """
            shirt, Tops:
                machine washable, long sleeve, button down, stretch fabric, cotton, linen, loose fit, quick dry
            hoodie, Tops:
                machine washable, drawstring, fleece lined, full zip, cotton, kangaroo pocket, loose fit, warm
            sweater, Tops: machine washable, crew neck, v neck, wool, cable knit, loose fit, long sleeve, warm
            jacket, Outerwear:
                water resistant, full zip, fleece lined, wind proof, warm, lightweight, side pockets, wool
            dress, Dresses:
                machine washable, sleeveless, knee length, v neck, stretch fabric, floral, linen, side pockets
            pants*, Bottoms:
                machine washable, elastic waist, drawstring, stretch fabric, linen, cotton, side pockets, quick dry
            """
        ),
    ),
    Family(
        "footwear",
        "Shoes",
        _words("classic casual modern rugged retro sporty"),
        {"color": COLORS, "size": _words("6 7 8 9 10")},
        _kinds(
            """
            sneakers*, Athletic:
                memory foam, non slip, arch support, lightweight, breathable, lace up, rubber sole, wide
            sandals*, Open: memory foam, non slip, arch support, open toe, ankle strap, rubber sole, leather, wide
            boots*, Winter: water resistant, non slip, fleece lined, lace up, side zip, rubber sole, leather, warm
            slippers*, Indoor: memory foam, non slip, fleece lined, open toe, warm, lightweight, rubber sole, slip on
            loafers*, Dress: memory foam, arch support, slip on, leather, suede, rubber sole, breathable, wide
            heels*, Dress: open toe, ankle strap, closed toe, block heel, suede, leather, non slip, memory foam
            """
        ),
    ),
    Family(
        "home",
        "Home",
        _words("modern rustic vintage minimal cozy elegant"),
        {"color": COLORS, "size": _phrases("small, medium, large")},
        _kinds(
            """
            lamp, Lighting:
                touch control, dimmable, solid wood, energy saving, glass shade, metal base, easy assemble, adjustable
            curtain, Windows:
                machine washable, blackout, linen, thermal, floral, energy saving, easy clean, lightweight
            rug, Floors: machine washable, non slip, stain resistant, wool, easy clean, soft, hand woven, thick
            pillow, Bedroom: machine washable, memory foam, cooling, soft, cotton, adjustable, washable cover, firm
            chair, Seating:
                solid wood, easy assemble, adjustable, memory foam, stain resistant, metal base, foldable, high back
            shelf, Storage:
                solid wood, easy assemble, wall mounted, metal base, space saving, foldable, adjustable, easy clean
            """
        ),
    ),
    Family(
        "electronics",
        "Electronics",
        _words("compact modern portable sleek rugged mini"),
        {"color": COLORS, "pack": _phrases("single, two pack, four pack")},
        _kinds(
            """
            headphones*, Audio:
                noise cancelling, wireless, long lasting, foldable, built in mic, soft, fast charging, water resistant
            speaker, Audio:
                wireless, water resistant, long lasting, hands free, heavy bass, fast charging, foldable, shock proof
            charger, Power:
                fast charging, wireless, foldable, heat proof, dual port, easy carry, wall mounted, long lasting
            keyboard, Desk:
                wireless, backlit, quiet, water resistant, foldable, plug and play, long lasting, wrist rest
            camera, Photo:
                high definition, wireless, water resistant, night vision, plug and play, wall mounted, shock proof, \
                heavy duty
            cable, Power:
                fast charging, heavy duty, gold plated, braided, extra long, easy carry, plug and play, high definition
            """
        ),
    ),
    Family(
        "accessories",
        "Accessories",
        _words("classic elegant vintage casual sleek bold"),
        {"color": COLORS, "size": _phrases("small, medium, large")},
        _kinds(
            """
            watch, Jewelry:
                water resistant, stainless steel, leather, quartz, scratch proof, round dial, lightweight, gold plated
            necklace, Jewelry:
                stainless steel, gold plated, hypoallergenic, hand made, adjustable, pearl, nickel free, extra long
            backpack, Carry:
                water resistant, side pockets, padded straps, leather, lightweight, hidden pocket, foldable, heavy duty
            wallet, Carry:
                leather, slim profile, hidden pocket, hand made, coin pocket, scratch proof, full zip, foldable
            belt, Wear: leather, adjustable, hand made, metal buckle, elastic, scratch proof, heavy duty, wide
            scarf, Wear: wool, cotton, hand made, warm, extra long, lightweight, floral, soft
            """
        ),
    ),
    Family(
        "beauty",
        "Beauty",
        _words("gentle daily natural rich pure fresh"),
        {"scent": _words("vanilla rose coconut lavender lemon mint"), "bottle": _phrases("travel, regular, family")},
        _kinds(
            """
            shampoo, Bath:
                sulfate free, paraben free, cruelty free, dry scalp, tea tree, argan oil, volume, anti frizz
            conditioner, Bath:
                sulfate free, paraben free, cruelty free, argan oil, anti frizz, damage repair, shea butter, volume
            lotion, Skin:
                paraben free, fragrance free, cruelty free, shea butter, long lasting, dry skin, non greasy, aloe
            serum, Skin:
                cruelty free, fragrance free, anti aging, dark circles, dry skin, green tea, non greasy, brightening
            lipstick, Makeup:
                cruelty free, long lasting, matte finish, paraben free, high gloss, shea butter, smudge proof, dry skin
            perfume, Makeup: long lasting, alcohol free, cruelty free, floral, easy carry, fruity, woody, paraben free
            """
        ),
    ),
    Family(
        "other",
        "More",
        _words("original premium classic everyday simple deluxe"),
        {"pack": _phrases("single, two pack, four pack"), "size": _phrases("small, medium, large")},
        _kinds(
            """
            coffee, Pantry: gluten free, fair trade, sugar free, dark roast, low acid, decaf, easy brew, organic
            tea, Pantry: gluten free, fair trade, sugar free, caffeine free, herbal, organic, loose leaf, easy brew
            granola, Pantry: gluten free, sugar free, nut free, high protein, organic, low calorie, dairy free, honey
            puzzle, Games:
                ages three plus, hand made, thick pieces, easy grip, glow, matte finish, eco friendly, extra big
            leash, Pets:
                heavy duty, reflective, padded handle, adjustable, hands free, easy clean, braided, extra long
            tent, Outdoors:
                water resistant, wind proof, easy assemble, lightweight, two person, four person, heavy duty, foldable
            """
        ),
    ),
)

ASKING = (
    "i need {what}, {attributes}",
    "find me {what}, {attributes}",
    "i am looking for {what}, {attributes}",
    "i want to buy {what}, {attributes}",
)
"""How the synthetic instruction asks; choices and price follow it."""
PEOPLE_ASKING = (
    "can you find {what} for me, {attributes}.{options}",
    "my friend needs {what}, {attributes}.{options}",
)
"""How people ask; ``options`` is a sentence on the choices, or empty."""
PRAISE = (
    "made for every day",
    "a good gift for a friend",
    "simple to use and simple to keep",
    "comes in a plain box",
)
"""Bullets that say nothing that a goal asks for."""
PRICES = (9.5, 14.5, 19.5, 24.5, 29.5, 34.5, 44.5, 54.5, 64.5, 79.5)
"""Dollars; a range goes from one to the next."""
