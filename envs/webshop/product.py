"""A product of the store, as the pages show it and the reward reads it."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any

NO_PRICE = 100.0
"""What a product without a price costs, as upstream."""

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_TEXTS = ("asin", "name", "query", "category", "product_category", "description", "instruction")


@dataclass(frozen=True, slots=True)
class Product:
    """One item of ``items_shuffle*.json`` with its entry of ``items_ins_v2*.json``, cleaned (``importing.py``)."""

    asin: str
    name: str
    query: str
    """The search phrase that the product was found with; lower-cased."""
    category: str
    product_category: str
    """Categories from the broadest on, separated by ``›``."""
    description: str
    bullets: tuple[str, ...]
    prices: tuple[float, ...]
    """The price, or the lowest and the highest; empty when the file has none."""
    options: dict[str, tuple[str, ...]]
    """Name → values in the file's order, both lower-cased, ``/`` in values written `` | ``."""
    attributes: tuple[str, ...]
    """Empty where ``items_ins_v2*.json`` has none (upstream writes one that nothing matches)."""
    instruction: str
    """What the synthetic goals ask for, or empty: the product has no synthetic goal."""
    instruction_attributes: tuple[str, ...]

    @property
    def price(self) -> float:
        """What it costs in dollars. Of a range, a point that follows from the asin alone, uniform over asins;
        upstream draws a new one in every process."""
        if not self.prices:
            return NO_PRICE
        if len(self.prices) == 1:
            return self.prices[0]
        low, high = self.prices
        return low + (high - low) * unit_draw(f"price/{self.asin}")

    @property
    def price_tag(self) -> str:
        """The price as the pages print it: ``$12.5``, ``$10.0 to $20.0``."""
        return " to ".join(f"${price}" for price in self.prices or (NO_PRICE,))


def unit_draw(key: str) -> float:
    """A number in [0, 1) that follows from the key alone, on every machine and version of Python."""
    return (int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) >> 11) / 2**53


def to_json(product: Product) -> str:
    """The product as the store keeps it: one line, the same on every machine."""
    return _encode(
        {
            "asin": product.asin,
            "name": product.name,
            "query": product.query,
            "category": product.category,
            "product_category": product.product_category,
            "description": product.description,
            "bullets": product.bullets,
            "prices": product.prices,
            "options": product.options,
            "attributes": product.attributes,
            "instruction": product.instruction,
            "instruction_attributes": product.instruction_attributes,
        }
    )


class NoProduct(ValueError):
    """A text is not what ``to_json`` writes."""


def from_json(text: Any) -> Product:
    """The product that ``to_json`` wrote; ``NoProduct`` for anything else."""
    try:
        row = json.loads(text)
        for key in ("bullets", "attributes", "instruction_attributes"):
            row[key] = _texts(row[key])
        row["prices"] = tuple(row["prices"])
        row["options"] = {name: _texts(values) for name, values in row["options"].items()}
        product = Product(**row)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise NoProduct(type(error).__name__) from None
    if len(product.prices) > 2 or not all(type(price) is float and math.isfinite(price) for price in product.prices):
        raise NoProduct("a price")
    if not all(isinstance(getattr(product, key), str) for key in _TEXTS):
        raise NoProduct("a text")
    return product


def _texts(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError
    return tuple(values)
