"""Goals: upstream's sentences, every choice of options once, price limits that follow from the asin."""

from __future__ import annotations

from dataclasses import replace
from itertools import product as choices
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from webshop_files import entry, imported, record, written

from sdar_envs.webshop.goals import NO_LIMIT, Goal, count_synthetic, human_goal, synthetic_goal
from sdar_envs.webshop.product import NO_PRICE, Product

SCARF = Product(
    asin="B000000001",
    name="Ada Wool Scarf",
    query="wool scarf",
    category="fashion",
    product_category="Clothing › Scarves › Wool",
    description="",
    bullets=(),
    prices=(19.5,),
    options={"size": ("s", "m", "l"), "color": ("red", "red | blue")},
    attributes=("wool",),
    instruction="find me a wool scarf",
    instruction_attributes=("wool",),
)
VALUES = st.lists(st.text(max_size=4), max_size=4).map(tuple)


def test_a_synthetic_goal() -> None:
    goal = synthetic_goal(SCARF, 4)
    assert goal == Goal(
        id="B000000001/4",
        asin="B000000001",
        query="wool scarf",
        name="Ada Wool Scarf",
        product_category="Clothing › Scarves › Wool",
        instruction=f"find me a wool scarf with color: red | blue, and size: m, and price lower than "
        f"{goal.price_upper:.2f} dollars",
        attributes=("wool",),
        options=(("color", "red | blue"), ("size", "m")),
        price_upper=goal.price_upper,
    )
    assert goal.price_upper in (30.0, 40.0, 50.0)


@given(st.dictionaries(st.text(max_size=4), VALUES, max_size=4))
def test_every_choice_is_a_goal(options: dict[str, tuple[str, ...]]) -> None:
    """In the order of ``itertools.product`` over sorted names, as upstream; equal values count apart."""
    scarf = replace(SCARF, options=options)
    expected = [
        tuple(zip(sorted(options), values, strict=True)) for values in choices(*(options[n] for n in sorted(options)))
    ]
    assert [synthetic_goal(scarf, number).options for number in range(count_synthetic(scarf))] == expected


def test_without_options_or_instruction() -> None:
    assert count_synthetic(replace(SCARF, instruction="")) == 0
    assert count_synthetic(replace(SCARF, options={"size": ()})) == 0
    goal = synthetic_goal(replace(SCARF, options={}, prices=(985.0,)), 0)
    assert (goal.instruction, goal.options, goal.price_upper) == ("find me a wool scarf", (), NO_LIMIT)


def test_a_goal_that_a_person_wrote() -> None:
    row = {"instruction": "..get a scarf, please...", "attributes": ["wool"], "options": ["red", "m"]}
    goal = human_goal(SCARF, 2, row)
    assert goal.id == "B000000001/human-2"
    assert goal.instruction == f"get a scarf, please, and price lower than {goal.price_upper:.2f} dollars"
    assert (goal.attributes, goal.options) == (("wool",), ("red", "m"))


@given(st.floats(0, 1200), st.text("ABC123", min_size=1, max_size=10))
def test_price_limits(price: float, asin: str) -> None:
    """Upstream: the larger of two of the next four steps of ten dollars, up to 990; none with fewer than two."""
    scarf = replace(SCARF, asin=asin, prices=(price,))
    limit = synthetic_goal(scarf, 0).price_upper
    steps = [10.0 * step for step in range(1, 100) if 10.0 * step > price][:4]
    assert limit in (steps[1:] or [NO_LIMIT])
    assert {synthetic_goal(scarf, number).price_upper for number in range(6)} == {limit}
    assert ("dollars" in synthetic_goal(scarf, 0).instruction) == (limit != NO_LIMIT)


def test_limits_are_drawn_as_the_larger_of_two() -> None:
    """Of four steps: the second once, the third twice, the fourth three times in six."""
    limits = [synthetic_goal(replace(SCARF, asin=f"B{number}"), 0).price_upper for number in range(3000)]
    shares = {limit: limits.count(limit) / 3000 for limit in (20.0, 30.0, 40.0, 50.0)}
    assert shares == {20.0: 0, 30.0: pytest.approx(1 / 6, abs=0.03), 40.0: pytest.approx(1 / 3, abs=0.03)} | {
        50.0: pytest.approx(1 / 2, abs=0.03)
    }


def test_limits_of_people_are_drawn_apart() -> None:
    row = {"instruction": "x", "attributes": ["wool"], "options": []}
    assert len({human_goal(SCARF, number, row).price_upper for number in range(20)}) > 1


@given(st.lists(st.floats(0, 1e6), max_size=2), st.text(max_size=10))
def test_prices(prices: list[float], asin: str) -> None:
    scarf = replace(SCARF, asin=asin, prices=tuple(prices))
    low, high = (min(prices), max(prices)) if prices else (NO_PRICE, NO_PRICE)
    assert low <= scarf.price <= high
    assert scarf.price == replace(scarf, name="Other").price


def test_price_tags_are_upstreams() -> None:
    assert SCARF.price_tag == "$19.5"
    assert replace(SCARF, prices=(10.0, 20.25)).price_tag == "$10.0 to $20.25"
    assert replace(SCARF, prices=()).price_tag == "$100.0"


def test_draws_are_the_same_on_every_machine() -> None:
    assert replace(SCARF, prices=(10.0, 20.0)).price == 10.288274354208314
    limits = [synthetic_goal(replace(SCARF, asin=asin), 0).price_upper for asin in ("B1", "B2", "B3", "B4", "B5")]
    assert limits == [40.0, 40.0, 50.0, 50.0, 30.0]


def test_goals_of_a_store_are_read_one_by_one(tmp_path: Path) -> None:
    products = [
        record("B1"),
        record("B2", customization_options=None),
        record("B3"),
        record("B4", customization_options={"Color": []}),
        record("B5", customization_options={"Size": [{"value": "S"}, {"value": "M"}, {"value": "L"}]}),
    ]
    instructions = {asin: entry() for asin in ("B1", "B2", "B4", "B5")} | {"B3": entry(instruction=None)}
    people = {"B5": [written(), written(instruction="two")], "B1": [written()]}
    store = imported(tmp_path, products, instructions, people)
    for goals, ids in (
        (store.goals(), ["B1/0", "B1/1", "B2/0", "B5/0", "B5/1", "B5/2"]),
        (store.goals("human"), ["B1/human-0", "B5/human-0", "B5/human-1"]),
    ):
        assert [goal.id for goal in goals] == ids
        assert len(goals) == len(ids)
        assert [goals[number] for number in range(len(goals))] == list(goals)
        assert [goals[number] for number in range(-len(goals), 0)] == list(goals)
        assert goals[1:3] == list(goals)[1:3]
        assert goals[::-1] == list(goals)[::-1]
        for outside in (len(goals), -len(goals) - 1):
            with pytest.raises(IndexError):
                goals[outside]
    assert [goal.options for goal in store.goals()][3:] == [(("size", value),) for value in ("s", "m", "l")]
    store.close()
