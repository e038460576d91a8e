"""The family of what is asked for, read off the instruction alone; it is the task's type.

The hidden product is not looked at: a type that the shopper could not know would leak it. Words count whole;
a plural is a word of its own. Phrases count as long as their words: "phone case" (2) outweighs "case" (1).
The family with the highest count wins, ties go to the one that is met first; none: ``other``.
"""

from __future__ import annotations

import re
from collections import defaultdict
from functools import cache

FAMILIES = ("apparel", "footwear", "home", "electronics", "accessories", "beauty", "other")

KEYWORDS: dict[str, str] = {
    "apparel": """
        apparel, blazer, blouse, blouses, boxers, bra, bras, briefs, cardigan, cardigans, clothing, coat, coats,
        costume, coverall, dress, dresses, dungarees, gown, gowns, henley, hoodie, hoodies, jacket, jackets, jean,
        jeans, jersey, jogger, joggers, jumpsuit, jumpsuits, kimono, leggings, legging, lingerie, long sleeve,
        nightgown, overalls, pajama, pajamas, pants, panties, parka, polo, polo shirt, polos, pullover, pyjamas, robe,
        robes, romper, shirt, shirts, short sleeve, shorts, skirt, skirts, sleepwear, suit, suits, sweater, sweaters,
        sweatpants, sweatshirt, sweatshirts, swimsuit, swimwear, t shirt, t shirts, tank top, tank tops, tee, tees,
        tops, trousers, tunic, tunics, tuxedo, underpants, underwear, uniform, vest, vests, workout shirt""",
    "footwear": """
        ankle boots, boot, boots, clog, clogs, flats, flip flops, footwear, heels, high heels, loafer, loafers,
        moccasin, moccasins, mules, oxfords, pumps, running shoes, sandal, sandals, shoe, shoes, slipper, slippers,
        sneaker, sneakers, trainers, wedges""",
    "home": """
        barstool, barstools, basket, bath mat, bed, bed frame, bedding, bedspread, bench, blanket, blankets, blinds,
        bookcase, bookshelf, bowl, bowls, cabinet, candle, candles, carpet, chair, chairs, chandelier, coffee table,
        comforter, cookware, couch, curtain, curtains, cushion, cushions, desk, dresser, duvet, floor lamp, furniture,
        futon, headboard, kettle, lamp, lamps, light fixture, mattress, mirror, mug, mugs, nightstand, ottoman, pan,
        pendant light, pillow, pillowcase, pillows, planter, plate, pot, quilt, recliner, rug, rugs, sconce, shelf,
        shelves, sheets, shower curtain, sideboard, sofa, sofas, stool, stools, storage box, table, tablecloth,
        tables, throw pillow, towel, towels, tv stand, vase, wall art, wall decor, wall mount shelf, wallpaper,
        wardrobe""",
    "electronics": """
        adapter, adapters, amplifier, antenna, battery, batteries, binoculars, bluetooth, bluetooth speaker, cable,
        cables, camera, cameras, charger, chargers, charging cable, computer, console, desktop, drone, earbuds,
        earphones, ethernet, flash drive, gaming, hard drive, hdmi, headphone, headphones, headset, ipad, iphone,
        keyboard, laptop, laptops, lens, memory card, microphone, modem, monitor, mouse, phone, phone case, power
        bank, printer, projector, radio, remote, remote control, router, screen protector, smartphone, smartwatch,
        smart watch, soundbar, speaker, speakers, stereo, subwoofer, surge protector, tablet, tablets, television,
        tripod, tv, usb, webcam, watch band""",
    "accessories": """
        anklet, backpack, backpacks, bag, bags, beanie, belt, belts, bracelet, bracelets, brooch, cap, caps, clutch,
        cufflinks, earring, earrings, eyeglasses, glove, gloves, handbag, handbags, hat, hats, headband, jewelry,
        keychain, luggage, mittens, necklace, necklaces, necktie, pendant, pendants, purse, purses, ring, rings,
        scarf, scarves, sock, socks, suitcase, sunglasses, tie, ties, tote, tote bag, umbrella, wallet, wallets,
        watch, watches, wristwatch""",
    "beauty": """
        body wash, brow, brush, brushes, cologne, concealer, conditioner, cosmetic, cosmetics, cotton swabs, dandruff,
        deodorant, essential oil, eye cream, face cream, hand cream, body cream, eyelash, eyelashes, eyeliner,
        eyeshadow, face mask, face wash, foundation, fragrance, hair, hair care, hair color, hair dryer, hair
        extensions, hair oil, lash, lashes, lip balm, lip gloss, lipstick, lotion, makeup, manicure, mascara,
        moisturizer, mouthwash, nail, nail polish, nails, oral care, perfume, razor, razors, scrub, serum, shampoo,
        shave, shaving, skin care, skincare, soap, sunscreen, tattoo, toner, toothbrush, toothbrushes, toothpaste,
        tweezers, wig, wigs""",
}
"""Family → words and phrases, in lower case; ours. What no list has is ``other``: food, tools, toys, …"""

_WORD = re.compile(r"[^\W_]+")


def family(instruction: str) -> str:
    """The family that the instruction's words speak of most.

    >>> family("i need a machine washable shirt for women with color: red")
    'apparel'
    """
    words = _WORD.findall(instruction.lower())
    lists = _lists()
    counts: dict[str, int] = defaultdict(int)
    place = 0
    while place < len(words):
        for length in range(min(_longest(), len(words) - place), 0, -1):
            found = lists.get(tuple(words[place : place + length]))
            if found is not None:
                counts[found] += length
                break
        place += length
    # dicts keep their order, and max takes the first of equals
    return max(counts, key=counts.__getitem__, default="other")


@cache
def _lists() -> dict[tuple[str, ...], str]:
    """Words of a keyword → its family; no keyword is in two."""
    keywords = (
        (name, keyword) for name, listed in KEYWORDS.items() for keyword in " ".join(listed.split()).split(", ")
    )
    return {tuple(keyword.split()): name for name, keyword in keywords}


@cache
def _longest() -> int:
    return max(map(len, _lists()))
