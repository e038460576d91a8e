"""What a shopper is asked to buy: synthetic goals, one for each choice of options, and goals that people wrote."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from sdar_envs.webshop.product import Product, unit_draw

NO_LIMIT = 1_000_000.0
"""The limit of a goal whose product is too dear for one; its sentence names no price."""
PRICE_LIMITS = tuple(10.0 * step for step in range(1, 100))
_NEAREST = 4


@dataclass(frozen=True, slots=True)
class Goal:
    """One task; ``instruction`` is the sentence that the agent reads, options and price limit included."""

    id: str
    """``<asin>/<n>``, where n counts the choices of options, or ``<asin>/human-<n>``, n the place in the file."""
    asin: str
    query: str
    name: str
    product_category: str
    instruction: str
    attributes: tuple[str, ...]
    options: tuple[tuple[str, str], ...] | tuple[str, ...]
    """(name, value) pairs in the order of names for synthetic goals; values for those of people."""
    price_upper: float
    """In dollars; ``NO_LIMIT`` where the sentence names none."""


def count_synthetic(product: Product) -> int:
    """How many synthetic goals a product has: one for each choice of options, none without an instruction."""
    return math.prod(map(len, product.options.values())) if product.instruction else 0


def synthetic_goal(product: Product, number: int) -> Goal:
    """The goal of the ``number``-th choice of options: names sorted, the last one's values changing fastest."""
    chosen: list[tuple[str, str]] = []
    rest = number
    for name in sorted(product.options, reverse=True):
        rest, index = divmod(rest, len(product.options[name]))
        chosen.append((name, product.options[name][index]))
    chosen.reverse()
    wanted = " with " + ", and ".join(f"{name}: {value}" for name, value in chosen) if chosen else ""
    limit, words = _limit(product, "synthetic")
    return Goal(
        id=f"{product.asin}/{number}",
        asin=product.asin,
        query=product.query,
        name=product.name,
        product_category=product.product_category,
        instruction=f"{product.instruction}{wanted}{words}",
        attributes=product.instruction_attributes,
        options=tuple(chosen),
        price_upper=limit,
    )


def human_goal(product: Product, number: int, entry: dict[str, Any]) -> Goal:
    """The goal of an entry of ``items_human_ins.json``: instruction, its attributes and its options."""
    limit, words = _limit(product, f"human-{number}")
    return Goal(
        id=f"{product.asin}/human-{number}",
        asin=product.asin,
        query=product.query,
        name=product.name,
        product_category=product.product_category,
        instruction=entry["instruction"].strip(".") + words,
        attributes=tuple(entry["attributes"]),
        options=tuple(entry["options"]),
        price_upper=limit,
    )


def _limit(product: Product, key: str) -> tuple[float, str]:
    """A price limit and its words: the larger of two different ones of the next four steps of ten dollars.

    Upstream draws once for all synthetic goals of a product, and once for each goal that people wrote; so
    does this, from the asin alone.
    """
    price = product.price
    steps = [limit for limit in PRICE_LIMITS if limit > price][:_NEAREST]
    pairs = list(combinations(steps, 2))
    if not pairs:
        return NO_LIMIT, ""
    limit = max(pairs[int(unit_draw(f"limit/{product.asin}/{key}") * len(pairs))])
    return limit, f", and price lower than {limit:.2f} dollars"


def synthetic_goals(products: Sequence[Product]) -> Iterator[Goal]:
    """All synthetic goals of these products, in order."""
    for product in products:
        for number in range(count_synthetic(product)):
            yield synthetic_goal(product, number)
