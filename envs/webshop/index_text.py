"""The text that a product is found by."""

from __future__ import annotations

from sdar_envs.webshop.product import Product


def index_text(product: Product) -> str:
    """Title, description, first bullet and options, lower-cased, as upstream indexes them."""
    options = ", and ".join(f"{name}: {', '.join(values)}" for name, values in product.options.items())
    bullet = product.bullets[0] if product.bullets else ""
    return " ".join((product.name, product.description, bullet, options)).lower()
