"""One shopper's way through the shop: which page is shown, and what has been chosen."""

from __future__ import annotations

from typing import Literal

from sdar_envs.webshop.actions import Click, Search, is_hidden
from sdar_envs.webshop.goals import Goal
from sdar_envs.webshop.pages import (
    BACK,
    BUY,
    NEXT,
    PREVIOUS,
    SUB_PAGES,
    Page,
    done_page,
    item_page,
    key,
    results_page,
    start_page,
    sub_page,
)
from sdar_envs.webshop.product import Product
from sdar_envs.webshop.reward import Score, score
from sdar_envs.webshop.store import Store

RESULTS = 50
"""Products that a search finds at most."""
RESULTS_PER_PAGE = 10

Place = Literal["start", "results", "item", "sub", "done"]


class Session:
    """Starts on the search page; ``act`` follows a search or a click, and ignores what the page does not offer.

    Options are kept from the opening of a product until the shopper goes back to the results or searches.
    """

    def __init__(self, store: Store, goal: Goal, per_page: int = RESULTS_PER_PAGE) -> None:
        self._store, self._goal, self._per_page = store, goal, per_page
        self._instruction = goal.instruction.strip()
        self.outcome: Score | None = None
        """The purchase's score, once something has been bought."""
        self._leave_search()

    def act(self, action: Search | Click | None) -> None:
        """Follow the action; one that is not possible, or a hidden command, changes nothing."""
        if self.outcome is not None:
            return
        if isinstance(action, Search):
            if not is_hidden(action.words):
                self._search(action.words)
        elif isinstance(action, Click) and action.label in self.page.labels:
            self._click(action.label)

    @property
    def results(self) -> list[Product]:
        """The products on the page of results that is or was shown last."""
        first = (self.number - 1) * self._per_page
        return [self._store.product(asin) for asin in self._found[first : first + self._per_page]]

    @property
    def last_number(self) -> int:
        """How many pages of results there are; 1 where nothing was found."""
        return max(1, -(-len(self._found) // self._per_page))

    def _click(self, label: str) -> None:
        # In upstream's order: a button goes before an option of the same name.
        if label == key(BUY):
            self._buy()
        elif label == key(BACK):
            self._leave_search()
        elif label == key(NEXT) and self.place == "results":
            self._show_results(self.number + 1)
        elif label == key(PREVIOUS):
            self._go_back()
        elif label in _SUB_PAGES:
            self._show("sub", sub_page(self._instruction, self._opened(), _SUB_PAGES[label]))
        elif self.place == "results":
            self._open(label)
        else:
            self._choose(label)

    def _leave_search(self) -> None:
        self._found: list[str] = []
        self._forget_product()
        self.number = 1
        self._show("start", start_page(self._instruction))

    def _search(self, words: str) -> None:
        self._found = self._store.search(words, RESULTS)
        self._show_results(1)

    def _show_results(self, number: int) -> None:
        self._forget_product()
        self.number = number
        total, last = len(self._found), number == self.last_number
        self._show("results", results_page(self._instruction, self.results, number, total, last=last))

    def _go_back(self) -> None:
        if self.place == "sub":
            self._show_product()
        elif self.place == "item":
            self._show_results(self.number)
        else:
            self._show_results(self.number - 1)

    def _open(self, label: str) -> None:
        self.product = next(product for product in self.results if key(product.asin) == label)
        self._show_product()

    def _choose(self, label: str) -> None:
        # Where two options share a value, upstream's page knows the last one only.
        product = self._opened()
        name = [name for name, values in product.options.items() if label in map(key, values)][-1]
        self.chosen[name] = next(value for value in product.options[name] if key(value) == label)
        self._show_product()

    def _buy(self) -> None:
        self.outcome = score(self._opened(), self._goal, self.chosen)
        self._show("done", done_page(self.outcome.total))

    def _forget_product(self) -> None:
        self.product: Product | None = None
        self.chosen: dict[str, str] = {}
        """Option name → value."""

    def _opened(self) -> Product:
        assert self.product is not None
        return self.product

    def _show_product(self) -> None:
        self._show("item", item_page(self._instruction, self._opened()))

    def _show(self, place: Place, page: Page) -> None:
        self.place: Place = place
        self.page = page


_SUB_PAGES = {key(name): name for name in SUB_PAGES}
