"""The words of the generated world. Every name is two of them, and both splits are made of the same words.

No word stands in two lists, in the sentences of documents and questions, or is another's inflection; so what is
found by a name is about things of that kind (a test compares all stems).
"""

from __future__ import annotations

Words = tuple[str, ...]


def _words(text: str) -> Words:
    return tuple(text.split())


COUNTRY = (
    _words("Upper Lower Eastern Western Inner Outer Greater Lesser High Deep Twin Far"),
    _words("Velia Torland Kasmar Oberon Nuvia Galdesh Permia Istrova Morvane Zelkova Thandor Quillon"),
)
CITY = (
    _words(
        "Port Fort Mount Saint Castle Silver Copper Granite Willow Maple Heron Falcon "
        "Otter Salmon Winter Amber Marble Cedar Juniper Raven Badger Pepper Thistle Barley"
    ),
    _words(
        "Harbour Meadow Bridge Valley Crossing Haven Brook Cliff Marsh Orchard Summit Ferry "
        "Garden Hollow Market Quarry Point Forest Landing Terrace Grove Lagoon Mill Reach"
    ),
)
PERSON = (
    _words(
        "Anna Bruno Clara David Elena Felix Greta Hugo Irene Jonas Karin Louis Maria Nils Olga Pavel "
        "Quentin Rosa Stefan Teresa Ursula Victor Wanda Xavier Yvonne Zoltan Bertha Conrad Doris Edgar Frida Gustav"
    ),
    _words(
        "Abel Becker Castro Dalton Ekman Fischer Garcia Hansen Ivanov Jensen Keller Lindgren Moreau Novak Orlov Petrov "
        "Quist Rossi Santos Tanaka Ulrich Vargas Weber Yamada Zimmer Arnold Bauer Costa Duval Eriksen Ferrari Gruber"
    ),
)
WORK = (
    _words(
        "Crimson Silent Broken Golden Hidden Burning Distant Empty Frozen Gentle Hungry Iron Jealous Kind Lonely "
        "Midnight Narrow Open Pale Quiet Restless Scarlet Tender Unseen Velvet Wandering Yellow Zealous Bitter Crystal "
        "Drowsy Emerald"
    ),
    _words(
        "Lantern Mirror Clock Bell Window River Letter Crown Feather Garment Hammer Island Jewel Kingdom Ladder Mask "
        "Needle Ocean Promise Queen Ribbon Shadow Thunder Umbrella Violin Whisper Anchor Blanket Compass Dagger Ember "
        "Fable"
    ),
)

KINDS = ("novel", "poem", "story")
"""What a work is."""
BIRTH_YEARS = tuple(str(year) for year in range(1800, 2000, 10))
FOUNDING_YEARS = tuple(str(year) for year in range(1400, 1800, 10))
"""No year is in both, so that a person's page never holds a city's."""
