"""The expert of generated products: it wins every held-out goal soon, knowing only what the screen shows."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from webshop_shelf import Shelf, goal, product

from sdar_envs.webshop.environment import Webshop, WebshopOptions
from sdar_envs.webshop.expert import plan, search_words
from sdar_envs.webshop.goals import NO_LIMIT
from sdar_envs.webshop.prompts import brief_goal
from sdar_envs.webshop.splits import goal_of

MOST_TURNS = 8
"""The tiny recipe's limit."""


def generated(size: int = 300, seed: int = 0, test: int = 128, **options: Any) -> Webshop:
    return Webshop(
        WebshopOptions.model_validate({"products": "generated", "size": size, "seed": seed, "test": test} | options)
    )


SHOPS = [
    *({"size": 300, "seed": seed, "brief": brief} for seed in (0, 1) for brief in (True, False)),
    {"size": 500, "seed": 2, "brief": True},
    {"size": 500, "seed": 2, "brief": True, "goals": "human", "test": 60},
    {"size": 300, "seed": 0, "brief": False, "goals": "human", "test": 40},
    {"size": 50, "seed": 5, "brief": True, "test": 100},
]


@pytest.mark.parametrize("options", SHOPS, ids=lambda options: "-".join(map(str, options.values())))
def test_every_held_out_goal_is_won_by_what_the_screen_shows(options: dict[str, Any]) -> None:
    shop = generated(**options)
    for task in shop.tasks("test"):
        actions = shop.expert(task)
        assert actions is not None and 3 <= len(actions) <= MOST_TURNS, task.goal
        observation, step = shop.reset(task), None
        for action in actions:
            kind, _, argument = action.rstrip("]").partition("[")
            if kind == "search":
                assert argument in brief_goal(task.goal), "a piece of the task, word for word"
                assert set(re.findall(r"\w+", argument)) <= set(re.findall(r"\w+", task.goal))
            else:
                assert action in observation.admissible, (task.goal, action)
            step = shop.step(action)
            observation = step.observation
        assert step is not None and step.won and step.done, task.goal


@pytest.mark.parametrize("goals", ["synthetic", "human"])
@pytest.mark.parametrize("numbered", [False, True])
def test_the_hidden_product_is_not_looked_at(numbered: bool, goals: str) -> None:
    shop = generated(goals=goals, test=40)
    for task in shop.tasks("test"):
        asked = goal_of(task)
        veiled = replace(asked, id="?", asin="?", query="?", name="?", product_category="?", attributes=("?",))
        assert plan(shop.store, veiled, numbered=numbered) == plan(shop.store, asked, numbered=numbered)
        assert asked.price_upper == NO_LIMIT or f"{asked.price_upper:.2f} dollars" in task.goal
        for option in asked.options:
            assert (option if isinstance(option, str) else f"{option[0]}: {option[1]}") in task.goal


@pytest.mark.parametrize(
    ("instruction", "options", "words"),
    [
        (
            "find me a slim shirt, warm with color: red, and price lower than 40.00 dollars",
            "color=red",
            "slim shirt, warm",
        ),
        ("I need a pair of boots, wide and warm with pack: 2, and size: 6", "pack=2;size=6", "boots, wide and warm"),
        ("i want to buy a rug with fringes with color: red", "color=red", "rug with fringes"),
        ("i am looking for a rug, soft, and price lower than 140.00 dollars", "", "rug, soft"),
        ("can you find an old lamp for me, dimmable. i like red and small.", "red;small", "old lamp, dimmable"),
        ("with color: red", "color=red", "with color: red"),
        (". i like red.", "red", "the query"),
    ],
)
def test_what_is_searched_for(instruction: str, options: str, words: str) -> None:
    given = tuple(tuple(part.split("=")) if "=" in part else part for part in options.split(";") if part)
    asked = goal(instruction=instruction, options=given, query="the query")
    assert search_words(asked) == words


# --- shops in which the first result is not the one ---

SHIRT = "Soft Cotton Shirt"
SEARCH = "search[soft cotton shirt]"


def shopping(*products: dict[str, Any], numbered: bool = False, **changes: Any) -> list[str]:
    shelf = Shelf([product(number, **given) for number, given in enumerate(products)])
    return plan(shelf, goal(**changes), numbered=numbered)  # type: ignore[arg-type]


def test_the_first_title_with_all_words_is_bought_with_the_values() -> None:
    assert shopping({"name": "Soft Cotton Hat"}, {"name": SHIRT}) == [
        SEARCH,
        "click[b000000001]",
        "click[red]",
        "click[small]",
        "click[buy now]",
    ]
    assert shopping({"name": f"{SHIRT} Hat"}, {"name": SHIRT}, numbered=True)[1] == "click[1]"


def test_a_product_without_the_values_is_left_for_the_next() -> None:
    way = shopping({"name": SHIRT, "options": {"size": ("small",)}}, {"name": SHIRT})
    assert way[:4] == [SEARCH, "click[b000000000]", "click[< prev]", "click[b000000001]"]
    assert way[4:] == ["click[red]", "click[small]", "click[buy now]"]


def test_a_product_above_the_limit_is_left_where_prices_are_shown() -> None:
    """The brief form shows none, so there the first is bought."""
    dear, cheap = {"name": SHIRT, "prices": (40.5,)}, {"name": SHIRT, "prices": (39.5, 60.0)}
    assert shopping(dear, cheap)[1:4] == ["click[b000000000]", "click[< prev]", "click[b000000001]"]
    assert shopping({"name": SHIRT, "prices": ()}, cheap)[2] == "click[< prev]", "no price is 100 dollars"
    assert shopping(dear, cheap, numbered=True)[1:3] == ["click[1]", "click[red]"]


def test_the_second_page_is_read_too() -> None:
    hats = [{"name": "Soft Cotton Hat"}] * 10
    way = shopping(*hats, {"name": "Cotton Shirt, Soft"})
    assert way[:3] == [SEARCH, "click[next >]", "click[b00000000a]"]
    lacking = [{"name": SHIRT, "options": {"size": ("small",)}}] * 4
    way = shopping(*lacking, {"name": SHIRT}, numbered=True)
    assert way[1:9] == [part for number in range(1, 5) for part in (f"click[{number}]", "click[< prev]")]
    assert way[9:] == ["click[next >]", "click[1]", "click[red]", "click[small]", "click[buy now]"]


def test_where_no_title_has_all_words_the_nearest_is_bought() -> None:
    near = [{"name": "Cotton Rug"}, {"name": "Soft Cotton Lamp"}, {"name": "Soft Cotton Hat"}]
    assert shopping(*near)[:2] == [SEARCH, "click[b000000001]"]
    many = [{"name": f"Soft Cotton {'ABCDEFGH'[number]}"} for number in range(8)]
    way = shopping(*many, numbered=True)
    assert way[:4] == [SEARCH, "click[next >]", "click[< prev]", "click[1]"], "both pages are read first"


def test_nothing_found_is_the_end_of_the_plan() -> None:
    assert shopping({"name": "Kettle"}) == [SEARCH]
