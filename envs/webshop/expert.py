"""A shopper who reads: what to search for is in the task, what to open in the titles, what to choose on the page.

It knows no more than the screen shows, so that a model can learn its way: search with the words that ask for the
product, open the first result whose title has all of them, go back where it lacks an option that the task names or
is too dear, choose the values, buy. Where no title has all words, the one with the most is bought.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sdar_envs.webshop import brief
from sdar_envs.webshop.actions import Click, Search, written
from sdar_envs.webshop.goals import Goal
from sdar_envs.webshop.pages import BUY, NEXT, PREVIOUS, key
from sdar_envs.webshop.product import NO_PRICE, Product
from sdar_envs.webshop.prompts import brief_goal
from sdar_envs.webshop.session import RESULTS_PER_PAGE, Session
from sdar_envs.webshop.store import Store
from sdar_envs.webshop.titles import FUNCTION_WORDS

PAGES = 2
"""Pages of results that are read where no title has all words."""

_WORD = re.compile(r"[^\W_]+")


def plan(store: Store, goal: Goal, *, numbered: bool) -> list[str]:
    """The actions from the search page to the purchase; ``numbered`` ones for the brief form.

    They win unless another product's title fits the task's words as well as the goal's does.
    """
    session = Session(store, goal, brief.RESULTS_PER_PAGE if numbered else RESULTS_PER_PAGE)
    return list(_actions(session, goal, numbered))


def search_words(goal: Goal) -> str:
    """What asks for the product in the instruction: no polite words, no options, no price.

    Of "i need a slim shirt, cotton and warm with color: red, and price lower than 40.00 dollars" it is "slim shirt,
    cotton and warm".
    """
    words = brief_goal(goal.instruction)
    for option in goal.options[:1]:
        if not isinstance(option, str):
            words = words.rpartition(f" with {option[0]}: ")[0] or words
    return words.partition(". ")[0] or goal.query


def _actions(session: Session, goal: Goal, numbered: bool) -> Iterator[str]:
    words = search_words(goal)
    yield _act(session, Search(words))
    wanted = set(_WORD.findall(words)) - FUNCTION_WORDS
    best: tuple[int, int, Product] | None = None
    most = -1
    for number in range(1, min(PAGES, session.last_number) + 1):
        while session.number < number:
            yield _act(session, Click(key(NEXT)))
        for place, product in enumerate(session.results, 1):
            shared = len(wanted & set(_WORD.findall(product.name.lower())))
            if shared > most:
                best, most = (number, place, product), shared
            if shared < len(wanted):
                continue
            yield _open(session, place, product, numbered)
            if _offers(goal, product, priced=not numbered):
                yield from _buy(session, goal)
                return
            yield _act(session, Click(key(PREVIOUS)))
    if best is None:
        return
    number, place, product = best
    while session.number > number:
        yield _act(session, Click(key(PREVIOUS)))
    yield _open(session, place, product, numbered)
    yield from _buy(session, goal)


def _open(session: Session, place: int, product: Product, numbered: bool) -> str:
    said = _act(session, Click(key(product.asin)))
    return f"click[{place}]" if numbered else said


def _buy(session: Session, goal: Goal) -> Iterator[str]:
    for value in _values(goal):
        if value in session.page.labels:
            yield _act(session, Click(value))
    yield _act(session, Click(key(BUY)))


def _act(session: Session, action: Search | Click) -> str:
    session.act(action)
    return written(action)


def _offers(goal: Goal, product: Product, *, priced: bool) -> bool:
    """Whether the product can be had with the values that the goal names, and within its limit where ``priced``
    (the brief form shows no price)."""
    if priced and min(product.prices, default=NO_PRICE) > goal.price_upper:
        return False
    return set(_values(goal)) <= {key(value) for values in product.options.values() for value in values}


def _values(goal: Goal) -> list[str]:
    """Labels of the values that the goal names, in its order."""
    return [key(option if isinstance(option, str) else option[1]) for option in goal.options]
