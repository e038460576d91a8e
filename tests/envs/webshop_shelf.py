"""A shop of a dozen products in memory, for tests: the store's interface without its files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sdar_envs.base import Task
from sdar_envs.webshop.goals import Goal, synthetic_goals
from sdar_envs.webshop.product import Product
from sdar_envs.webshop.splits import task_of

PLAIN = Product(
    asin="B000000000",
    name="Soft Cotton Shirt",
    query="cotton shirts",
    category="fashion",
    product_category="Clothing › Men › Shirts",
    description="A shirt for every day.",
    bullets=("Machine wash cold", "Made of cotton"),
    prices=(25.0,),
    options={"color": ("red", "dark blue"), "size": ("small", "large")},
    attributes=("machine wash", "soft cotton"),
    instruction="find me a soft cotton shirt",
    instruction_attributes=("machine wash",),
)


def product(number: int = 0, **changes: Any) -> Product:
    return replace(PLAIN, asin=f"B{number:09X}", **changes)


def goal(**changes: Any) -> Goal:
    wanted = Goal(
        id="B000000000/0",
        asin="B000000000",
        query=PLAIN.query,
        name=PLAIN.name,
        product_category=PLAIN.product_category,
        instruction="find me a soft cotton shirt with color: red, and size: small, and price lower than 40.00 dollars",
        attributes=("machine wash",),
        options=(("color", "red"), ("size", "small")),
        price_upper=40.0,
    )
    return replace(wanted, **changes)


def task(**changes: Any) -> Task:
    return task_of(goal(**changes))


class Shelf:
    """Finds the products that share a word with the query, those with the most first."""

    digest = "shelf"

    def __init__(self, products: Sequence[Product]) -> None:
        self.products = list(products)
        self.searches = 0

    def product(self, asin: str) -> Product:
        return next(product for product in self.products if product.asin == asin)

    def search(self, query: str, k: int = 50) -> list[str]:
        self.searches += 1
        words = set(query.lower().split())
        shared = {product.asin: len(words & set(product.name.lower().split())) for product in self.products}
        found = sorted((product.asin for product in self.products if shared[product.asin]), key=lambda a: -shared[a])
        return found[:k]

    def __len__(self) -> int:
        return len(self.products)

    def goals(self, kind: str = "synthetic") -> list[Goal]:
        return list(synthetic_goals(self.products)) if kind == "synthetic" else []

    def close(self) -> None:
        pass
