"""The native score of a purchase, to the letter of ``web_agent_site/engine/goal.py`` (princeton-nlp/WebShop).

    score = r_type · (attributes matched + options matched + [price ≤ limit]) / (#attributes + #options + 1)

``r_type`` is 1; 0.5 where neither the query nor two category levels are shared and the title match is at
most 0.2; 0.1 where the title match is below 0.1; 0 where it is 0. Where upstream raises we go on: a goal without
attributes has none to match, and a limit of 0 or less earns no point for the price.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from rapidfuzz import fuzz, utils

from sdar_envs.webshop.colors import normalise, normalise_pair
from sdar_envs.webshop.titles import title_matcher

if TYPE_CHECKING:
    from sdar_envs.webshop.goals import Goal
    from sdar_envs.webshop.product import Product

MATCH = 85
"""A ratio above this is a match."""
NO_NOUNS = 0.2
"""Title match of a goal whose title has no naming word."""

Nouns = Callable[[str], Sequence[str]]

_LATIN_1 = dict.fromkeys(range(128, 256))


@dataclass(frozen=True, slots=True)
class Score:
    """A purchase's score and its parts."""

    total: float
    r_type: float
    query_match: bool
    category_match: bool
    title_match: float
    attributes: int
    """Attributes of the goal that the product has."""
    options: int
    """Options of the goal that were chosen."""
    price: bool
    """Whether the price is within the goal's limit."""


def score(product: Product, goal: Goal, chosen: Mapping[str, str], nouns: Nouns | None = None) -> Score:
    """The score of buying ``product`` with the options ``chosen`` (name → value), for ``goal``.

    ``nouns`` gives the naming words of a title; by default those of ``title_matcher()``.
    """
    title = title_match(product.name, goal.name, nouns or title_matcher().nouns)
    query = product.query == goal.query
    category = category_match(product.product_category, goal.product_category)
    r_type = type_score(query or category, title)
    attributes = sum(_has(product, attribute) for attribute in goal.attributes)
    options = matched_options(goal.options, chosen.values())
    price = goal.price_upper > 0 and product.price <= goal.price_upper
    share = (attributes + options + price) / (len(goal.attributes) + len(goal.options) + 1)
    return Score(r_type * share, r_type, query, category, title, attributes, options, price)


def type_score(same_kind: bool, title: float) -> float:
    """``r_type``: whether what was bought is the kind of thing that was asked for."""
    if title == 0.0:
        return 0.0
    if title < 0.1:
        return 0.1
    return 1.0 if same_kind or title > 0.2 else 0.5


def title_match(bought: str, asked: str, nouns: Nouns) -> float:
    """Share of the asked title's naming words that the bought one has.

    A word that stands twice in the asked title counts twice below the line and once above it, so that a
    product may match itself by less than 1.
    """
    wanted = nouns(asked)
    if not wanted:
        return NO_NOUNS
    return len(set(nouns(bought)) & set(wanted)) / len(wanted)


def category_match(bought: str, asked: str) -> bool:
    """Whether two category levels (parted by ``›``) are shared, in whatever order."""
    levels = [{level.strip() for level in path.split("›")} for path in (bought, asked)]
    return len(levels[0] & levels[1]) >= 2


def matched_options(asked: Iterable[str | tuple[str, str]], chosen: Iterable[str]) -> int:
    """How many of the goal's options some chosen value matches; pairs are compared as ``str((name, value))``."""
    values = [normalise(value) for value in chosen]
    texts = [normalise(option) if isinstance(option, str) else normalise_pair(*option) for option in asked]
    return sum(any(alike(value, text) for value in values) for text in texts)


@lru_cache(maxsize=65536)
def alike(first: str, second: str) -> bool:
    """thefuzz's ``token_set_ratio(first, second) > 85``."""
    return ratio(first, second) > MATCH


def ratio(first: str, second: str) -> int:
    """thefuzz's ``token_set_ratio``: characters 128 to 255 (``é``) are dropped first, other scripts are kept."""
    texts = first.translate(_LATIN_1), second.translate(_LATIN_1)
    return round(fuzz.token_set_ratio(*texts, processor=utils.default_process))


def _has(product: Product, attribute: str) -> bool:
    """Among the product's attributes by fuzzy match, or letter for letter in its lower-cased texts."""
    if any(alike(own, attribute) for own in product.attributes):
        return True
    texts = (product.name, " ".join(product.bullets), product.description)
    return any(attribute in text.lower() for text in texts)
