"""The shop in very few words, for a tiny model whose tokens are words.

The same session and the same products, shown as a word model can read them: results are numbered, since an asin
is no word to it, few to a page, by their titles; a product shows its title and options, a chosen value in the
place of its option; sub-pages are not listed, and prices are not shown. All is in lower case.
"""

from __future__ import annotations

import re

from sdar_envs.base import Observation
from sdar_envs.webshop.actions import Click, Search
from sdar_envs.webshop.pages import BACK, BUY, NEXT, PREVIOUS, key
from sdar_envs.webshop.product import Product
from sdar_envs.webshop.session import Session

RESULTS_PER_PAGE = 4
SEARCH = "search[words]"

PHRASES = (
    "task: step 15. did: nothing now: start results: none. 1 2; done, score 0.5 search [ words ] click",
    "back to search < prev next > buy now : with, and",
)
"""Between them, every word of the brief form that is no product's."""

_SPACED = re.compile(r"\s*([^\w\s])\s*")


def observe(session: Session) -> Observation:
    """The page and its commands in brief."""
    match session.place:
        case "start":
            return Observation("start", (SEARCH,))
        case "results":
            return _results(session)
        case "item":
            return _item(session)
        case "sub":
            return Observation(" ".join(map(key, session.page.strings[4:])), _commands(key(PREVIOUS), key(BACK)))
        case "done":
            assert session.outcome is not None
            return Observation(f"done, score {session.outcome.total:.2f}")


def resolve(action: Search | Click | None, session: Session) -> Search | Click | None:
    """The action that the session knows: a result's number becomes its asin, a label gets its own spaces back."""
    if not isinstance(action, Click):
        return action
    if session.place == "results" and action.label.isascii() and action.label.isdigit():
        number, shown = int(action.label[:4]), session.results
        return Click(key(shown[number - 1].asin)) if 1 <= number <= len(shown) else None
    wanted = _squeezed(action.label)
    return next((Click(label) for label in session.page.labels if _squeezed(label) == wanted), action)


def _item(session: Session) -> Observation:
    product = session.product
    assert product is not None
    parts = [key(product.name)]
    labels: list[str] = []
    for name, values in product.options.items():
        if name in session.chosen:
            parts.append(session.chosen[name])
        else:
            parts.append(f"{name}: {', '.join(values)}")
            labels += map(key, values)
    parts.append(key(BUY))
    return Observation(". ".join(parts) + ".", _commands(*labels, *map(key, (BUY, PREVIOUS, BACK))))


def _results(session: Session) -> Observation:
    shown = [f"{number} {key(product.name)}" for number, product in enumerate(session.results, 1)] or ["none"]
    labels = [str(number) for number in range(1, len(session.results) + 1)]
    labels += [key(button) for button in (NEXT, PREVIOUS, BACK) if key(button) in session.page.labels]
    if key(NEXT) in labels:
        shown.append(key(NEXT))
    return Observation(f"results: {'; '.join(shown)}.", _commands(*labels))


def _commands(*labels: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f"click[{label}]" for label in labels if label))


def _squeezed(label: str) -> str:
    """A label without the spaces that a word tokenizer puts around punctuation."""
    return _SPACED.sub(r"\1", label)


def product_words(product: Product) -> str:
    """All words of a product that the brief form shows."""
    options = [f"{name} {' '.join(values)}" for name, values in product.options.items()]
    return key(" ".join([product.name, product.instruction, *options]))
