"""Which goals are trained on and which are held out; the families that goals fall into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from webshop_shelf import goal, product

from sdar_cli.errors import EnvironmentSetupError, PanelError
from sdar_cli.evaluation.panel import Panel
from sdar_envs.base import Task
from sdar_envs.webshop.catalogue import generate
from sdar_envs.webshop.catalogue_items import Catalogue
from sdar_envs.webshop.families import FAMILIES, KEYWORDS, family
from sdar_envs.webshop.goals import Goal, synthetic_goals
from sdar_envs.webshop.splits import GoalTasks, fixed_splits, goal_of, legacy_splits, task_of
from sdar_envs.webshop.store import Store


class Counted(Sequence[Goal]):
    """Goals that count how many were read."""

    def __init__(self, goals: Sequence[Goal]) -> None:
        self.goals, self.read = goals, 0

    def __len__(self) -> int:
        return len(self.goals)

    def __getitem__(self, index: int) -> Goal:  # type: ignore[override]
        self.read += 1
        return self.goals[index]


def wanted(task: Task) -> object:
    asked = goal_of(task)
    return asked.asin, frozenset(asked.options), frozenset(asked.attributes)


def goals(products: int, *, twins: bool = False) -> list[Goal]:
    """Four goals a product; with twins, eight, each value standing twice."""
    colours = ("red", "blue", "red", "blue") if twins else ("red", "blue")
    options = {"color": colours, "size": ("small", "large")}
    return list(synthetic_goals([product(number, options=options) for number in range(products)]))


@settings(max_examples=50)
@given(st.integers(1, 40), st.integers(1, 30), st.booleans())
def test_no_goal_is_in_both_splits_under_whatever_id(products: int, test: int, twins: bool) -> None:
    all_goals = goals(products, twins=twins)
    if test >= products * 4:
        with pytest.raises(EnvironmentSetupError, match=r"lower environment\.options\.test or train"):
            fixed_splits(all_goals, test, None)
        return
    splits = fixed_splits(all_goals, test, None)
    held_out = {wanted(task) for task in splits["test"]}
    assert len(splits["test"]) == len(held_out) == test, "no goal twice"
    assert not held_out & {wanted(task) for task in splits["train"]}
    ids = [task.id for split in splits.values() for task in split]
    assert len(ids) == len(set(ids))
    kept = {item.id for item in all_goals} - set(ids)
    assert all(wanted(task_of(item)) in held_out for item in all_goals if item.id in kept), "only twins are left out"
    assert twins or not kept


def test_goals_that_differ_by_a_part_are_others() -> None:
    one = goal(id="a/human-0", options=("red",))
    same = [replace(one, id="a/human-1", instruction="other words", price_upper=1.0)]
    different = [replace(one, id="a/human-2", options=("blue",)), replace(one, id="a/human-3", attributes=("warm",))]
    found = fixed_splits([one, *same, *different], 2, None)
    assert len({wanted(task) for task in [*found["test"], *found["train"]]}) == 3
    with pytest.raises(EnvironmentSetupError, match="4 goals do not make 3 for test and some for train"):
        fixed_splits([one, *same, *different], 3, None)


def test_the_shuffle_is_the_same_everywhere() -> None:
    splits = fixed_splits(goals(5), 4, None)
    assert [task.id for task in splits["test"]] == ["B000000004/2", "B000000000/1", "B000000004/3", "B000000002/0"]
    assert [task.id for task in splits["train"][:3]] == ["B000000002/2", "B000000004/1", "B000000001/2"]


def test_train_may_be_cut_and_test_stays() -> None:
    whole, cut = fixed_splits(goals(30), 20, None), fixed_splits(goals(30), 20, 7)
    assert list(cut["test"]) == list(whole["test"])
    assert list(cut["train"]) == list(whole["train"][:7])
    with pytest.raises(EnvironmentSetupError, match=r"20 for test and 101 for train \(20 and 100 can be had\)"):
        fixed_splits(goals(30), 20, 101)


def test_a_smaller_test_split_is_a_prefix() -> None:
    assert list(fixed_splits(goals(30), 8, None)["test"]) == list(fixed_splits(goals(30), 20, None)["test"][:8])


def test_tasks_are_made_when_asked_for() -> None:
    counted = Counted(goals(5_000))
    splits = fixed_splits(counted, 10, None)
    assert counted.read < 500, "of 20,000 goals, those held out and their products' alone"
    before = counted.read
    tasks = splits["train"]
    assert len(tasks) == 19_990 and counted.read == before
    assert isinstance(tasks[5:9], GoalTasks) and len(tasks[5:9]) == 4 and counted.read == before
    assert tasks[-1] == tasks[len(tasks) - 1] and tasks[5:9][0] == tasks[5]
    assert counted.read == before + 4
    with pytest.raises(IndexError):
        tasks[len(tasks)]


def test_a_task_holds_the_whole_goal() -> None:
    for options in ((("color", "red"), ("size", "small")), ("red", "2 pack"), ()):
        asked = goal(options=options, instruction="  find me a shirt ")
        made = task_of(asked)
        assert goal_of(made) == asked
        assert (made.id, made.task_type, made.goal) == (asked.id, "apparel", "find me a shirt")


def test_the_legacy_split_leaks_as_the_released_one_does() -> None:
    splits = legacy_splits(goals(1500), 500, None)
    train, test = ({task.id for task in splits[name]} for name in ("train", "test"))
    assert (len(train), len(test)) == (5500, 500)
    assert 0.85 < len(train & test) / 500 < 0.97, "11 of 12 goals are not held out by the other shuffle"
    assert {task.id for task in splits["unseen"]} == test - train
    assert list(splits["test"]) == list(fixed_splits(goals(1500), 500, None)["test"])
    cut = legacy_splits(goals(1500), 500, 1)
    assert len(cut["train"]) == 1 and len(cut["unseen"]) >= 499


def test_the_legacy_split_needs_goals_too() -> None:
    with pytest.raises(EnvironmentSetupError, match="do not make 4 for test"):
        legacy_splits(goals(1), 4, None)


# --- families ---


@pytest.mark.parametrize(
    ("instruction", "expected"),
    [
        ("Find me a machine wash women's shirt with long sleeve with color: black, and size: large", "apparel"),
        ("i want a pair of red running shoes with a rubber sole", "footwear"),
        ("i need a storage box for my living room", "home"),
        ("looking for a bluetooth speaker with a usb port", "electronics"),
        ("i am looking for a leather wallet for men", "accessories"),
        ("i would like a cruelty free shampoo for dry hair", "beauty"),
        ("gluten free crackers in a 12 pack", "other"),
        ("", "other"),
        ("i need a phone case with color: wallet", "electronics"),
        ("a heavy duty chair with color: cap", "home"),
        ("that is what i hate", "other"),
        ("I WANT A HAT.", "accessories"),
    ],
)
def test_the_family_is_read_off_whole_words(instruction: str, expected: str) -> None:
    assert family(instruction) == expected


def test_keywords_are_in_one_family_each() -> None:
    listed = [keyword for words in KEYWORDS.values() for keyword in " ".join(words.split()).split(", ")]
    assert len(listed) == len(set(listed))
    assert (*KEYWORDS, "other") == FAMILIES
    for name, words in KEYWORDS.items():
        for keyword in " ".join(words.split()).split(", "):
            assert family(f"find me one {keyword} please") == name


@given(st.text())
def test_every_text_has_a_family(text: str) -> None:
    assert family(text) in FAMILIES


def test_numpys_frozen_generator_is_what_it_was() -> None:
    assert np.random.RandomState(0).permutation(10).tolist() == [2, 8, 4, 9, 1, 6, 7, 3, 0, 5]


@pytest.mark.parametrize("legacy", [False, True])
def test_splits_know_their_tasks_by_id(legacy: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store.open(generate(Catalogue(40, 5)))
    splits = (legacy_splits if legacy else fixed_splits)(store.goals(), 30, 60)
    ids = {name: [task.id for task in tasks] for name, tasks in splits.items()}
    every = [goal.id for goal in store.goals()]
    for name, tasks in splits.items():
        found = {goal: tasks.find(goal) for goal in every}
        assert [found[task.id] for task in tasks] == list(tasks)
        assert {goal for goal, task in found.items() if task is not None} == set(ids[name])
        assert tasks.find("nothing/0") is None
    monkeypatch.setattr(type(store.goals()), "__getitem__", None)
    for name, tasks in splits.items():
        assert {goal for goal in every if tasks.holds(goal)} == set(ids[name])
        assert not tasks.holds("nothing/0")
    panel = Panel("webshop", "", "test", 0, tuple(ids["test"]))
    if legacy:
        with pytest.raises(PanelError, match="tasks of the panel are training tasks"):
            panel.check_disjoint(splits["train"])
    else:
        panel.check_disjoint(splits["train"])
    store.close()
