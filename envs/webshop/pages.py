"""Pages as upstream's text mode shows them: strings and labels, in the order of its HTML templates.

Two things that upstream lists are left out because they do nothing: ``click[search]`` on the search page, and
``Next >`` on the last page of results, which leads to empty pages without end. Ratings and reviews are those of
a shop without a review file, as in the released set-up: ``N.A.`` and none. Upstream's page of a product's
attributes is off in text mode, so it is not here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sdar_envs.webshop.product import Product

SEPARATOR = " [SEP] "
BACK, PREVIOUS, NEXT, BUY = "Back to Search", "< Prev", "Next >", "Buy Now"
SUB_PAGES = ("Description", "Features", "Reviews")
SEARCH_BAR = "search[<your query>]"
"""How the search is listed where the page has a search bar; any page accepts one."""


@dataclass(frozen=True, slots=True)
class Page:
    strings: tuple[str, ...]
    """What is visible, from top to bottom."""
    labels: tuple[str, ...] = ()
    """What can be clicked: lower-cased, white space collapsed, each once; buttons and links first."""
    search_bar: bool = False

    @property
    def text(self) -> str:
        return SEPARATOR.join(self.strings)

    @property
    def commands(self) -> tuple[str, ...]:
        """The admissible list: the search first."""
        return ((SEARCH_BAR,) if self.search_bar else ()) + tuple(f"click[{label}]" for label in self.labels)


def start_page(instruction: str) -> Page:
    return Page(_visible("WebShop", "Instruction:", instruction, "Search"), search_bar=True)


def results_page(instruction: str, products: Sequence[Product], number: int, total: int, *, last: bool) -> Page:
    """Page ``number`` (from 1) of a search with ``total`` results."""
    buttons = [BACK]
    if number > 1:
        buttons.append(PREVIOUS)
    if not last:
        buttons.append(NEXT)
    count = f"Page {number} (Total results: {total})"
    items = [text for product in products for text in (product.asin, product.name, product.price_tag)]
    strings = _visible("Instruction:", instruction, buttons[0], count, *buttons[1:], *items)
    return Page(strings, _labels(*buttons, *(product.asin for product in products)))


def item_page(instruction: str, product: Product) -> Page:
    """A product. What has been chosen does not show: upstream's text mode marks nothing."""
    options = [text for name, values in product.options.items() for text in (name, *values)]
    strings = _visible(
        *("Instruction:", instruction, BACK, PREVIOUS, *options),
        *(product.name, f"Price: {product.price_tag}", "Rating: N.A.", *SUB_PAGES, BUY),
    )
    values = [value for choices in product.options.values() for value in choices]
    return Page(strings, _labels(BACK, PREVIOUS, *SUB_PAGES, BUY, *values))


def sub_page(instruction: str, product: Product, name: str) -> Page:
    """One of ``SUB_PAGES`` of a product."""
    texts = {"Description": (product.description,), "Features": product.bullets, "Reviews": ()}[name]
    return Page(_visible("Instruction:", instruction, BACK, PREVIOUS, *texts), _labels(BACK, PREVIOUS))


def done_page(score: float) -> Page:
    """The end; upstream's page goes on with a code for its workers, and names the goal."""
    return Page(("Thank you for shopping with us!", "Your score (min 0.0, max 1.0)", str(score)))


def key(label: str) -> str:
    """A label as actions name it."""
    return " ".join(label.lower().split())


def _visible(*texts: str) -> tuple[str, ...]:
    return tuple(stripped for text in texts if (stripped := text.strip()))


def _labels(*labels: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_keys(labels)))


def _keys(labels: Sequence[str]) -> Iterator[str]:
    for label in labels:
        if name := key(label):
            yield name
