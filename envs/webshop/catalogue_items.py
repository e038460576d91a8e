"""The products of a generated catalogue, drawn one by one.

Every product follows from (size, seed) and its number: a kind, a style, two or three attributes, up to two
options, a price. Up to ``DECIDABLE`` products no two of a kind have attributes of which one set holds the other,
so that a goal's attributes fit one product only; in larger catalogues they repeat, as in the real one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from sdar_cli.paths import cache_root
from sdar_envs.bm25 import format as index_format
from sdar_envs.webshop import manifest
from sdar_envs.webshop.catalogue_words import BRANDS, FAMILIES, PRICES, Family, Kind

GENERATOR = 1
"""Raised whenever the same catalogue would come out differently."""
DECIDABLE = 500
"""Products up to which a goal's kind and attributes fit one product only."""
_DRAWS = 1000
_ASIN_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"


@dataclass(frozen=True, slots=True)
class Catalogue:
    """A generated catalogue: how many products, and the seed that they are drawn from."""

    size: int
    seed: int

    @property
    def folder(self) -> Path:
        """Where its store is or will be."""
        formats = {"generator": GENERATOR, "store": manifest.FORMAT, "index": index_format.FORMAT}
        content = json.dumps(asdict(self) | formats, sort_keys=True)
        return cache_root() / "webshop" / hashlib.sha256(content.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Item:
    """A product before it is written down."""

    number: int
    asin: str
    family: Family
    kind: Kind
    brand: str
    style: str
    attributes: tuple[str, ...]
    options: dict[str, tuple[str, ...]]
    pricing: str | None

    @property
    def what(self) -> str:
        """What one asks for: "a slim shirt", "a pair of retro boots"."""
        thing = f"{self.style} {self.kind.noun}"
        article = "an" if thing[0] in "aeiou" else "a"
        return f"a pair of {thing}" if self.kind.pair else f"{article} {thing}"


def draw_items(catalogue: Catalogue) -> Iterator[Item]:
    """The products, family after family in turn."""
    taken: dict[str, list[frozenset[str]]] = {}
    asins: set[str] = set()
    for number in range(catalogue.size):
        family = FAMILIES[number % len(FAMILIES)]
        kind = family.kinds[number // len(FAMILIES) % len(family.kinds)]
        rng = Random(f"{catalogue.seed}/{number}")
        attributes = _draw_attributes(rng, kind, taken.setdefault(kind.noun, []), catalogue.size <= DECIDABLE)
        names = sorted(rng.sample(sorted(family.options), rng.choice((0, 1, 1, 2))))
        options = {name: _draw_values(rng, family.options[name]) for name in names}
        asin = next(asin for asin in _asins(catalogue.seed, number) if asin not in asins)
        asins.add(asin)
        yield Item(
            number,
            asin,
            family,
            kind,
            rng.choice(BRANDS),
            rng.choice(family.styles),
            attributes,
            options,
            _draw_pricing(rng),
        )


def _draw_attributes(rng: Random, kind: Kind, taken: list[frozenset[str]], decidable: bool) -> tuple[str, ...]:
    for _ in range(_DRAWS if decidable else 1):
        attributes = tuple(rng.sample(kind.attributes, rng.choice((2, 2, 3))))
        drawn = frozenset(attributes)
        if not decidable:
            return attributes
        if not any(drawn <= other or other <= drawn for other in taken):
            taken.append(drawn)
            return attributes
    raise AssertionError(f"the {kind.noun}'s attributes do not suffice for {DECIDABLE} products")


def _draw_values(rng: Random, values: tuple[str, ...]) -> tuple[str, ...]:
    """Two to four of the values, in their own order."""
    chosen = set(rng.sample(values, rng.randint(2, min(4, len(values)))))
    return tuple(value for value in values if value in chosen)


def _draw_pricing(rng: Random) -> str | None:
    place = rng.randrange(len(PRICES) - 1)
    match rng.randrange(20):
        case 0:
            return None
        case 1 | 2 | 3:
            return f"${PRICES[place]:.2f}${PRICES[place + 1]:.2f}"
    return f"${PRICES[place]:.2f}"


def _asins(seed: int, number: int) -> Iterator[str]:
    """Ten characters, as the real ones have."""
    attempt = 0
    while True:
        drawn = int.from_bytes(hashlib.sha256(f"asin/{seed}/{number}/{attempt}".encode()).digest()[:8])
        yield "B" + "".join(_ASIN_LETTERS[drawn >> 5 * place & 31] for place in range(9))
        attempt += 1
