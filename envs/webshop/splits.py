"""Which goals are trained on and which are held out.

All goals of a store stand in one fixed shuffle, the same on every machine. ``test`` is the first ``test`` goals of
it, ``train`` those that follow. Goals that ask for the same thing (one product, the same options and attributes)
count as one: ``test`` holds one of them, and ``train`` none of those that ``test`` holds, so no goal stands in
both, under whatever id.

The *legacy* split is upstream's, which leaks: there every worker shuffles the goals by its own seed before the
first 500 are held out, so that most held-out goals are training goals of another worker. Here two shuffles
stand for two workers: ``test`` comes from the one, ``train`` from the other. No panel can be drawn from such a
``test``, since a panel that holds training tasks is refused; ``unseen`` is the part of it that is not trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, overload

import numpy as np

from sdar_cli.errors import EnvironmentSetupError
from sdar_envs.base import LazyTasks, Task
from sdar_envs.webshop.families import family
from sdar_envs.webshop.goals import Goal
from sdar_envs.webshop.stored_goals import StoredGoals

SHUFFLE, OTHER_SHUFFLE = 0, 1
"""Seeds; the second is the legacy split's training side."""


class GoalTasks(LazyTasks):
    """The tasks of some goals of a store, each made when it is asked for: there may be millions."""

    def __init__(self, goals: Sequence[Goal], indices: np.ndarray) -> None:
        self._goals, self._indices = goals, indices

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, index: int) -> Task: ...
    @overload
    def __getitem__(self, index: slice) -> GoalTasks: ...
    def __getitem__(self, index: int | slice) -> Task | GoalTasks:
        if isinstance(index, slice):
            return GoalTasks(self._goals, self._indices[index])
        return task_of(self._goals[int(self._indices[index])])

    def holds(self, task_id: str) -> bool:
        return self._number(task_id) is not None

    def find(self, task_id: str) -> Task | None:
        number = self._number(task_id)
        return None if number is None else task_of(self._goals[number])

    def _number(self, task_id: str) -> int | None:
        """The number of the goal among those of the store; None where it is not among these."""
        assert isinstance(self._goals, StoredGoals)
        number = self._goals.number(task_id)
        return number if number is not None and np.any(self._indices == number) else None


def task_of(goal: Goal) -> Task:
    sentence = goal.instruction.strip()
    return Task(goal.id, family(sentence), sentence, {"goal": asdict(goal)})


def goal_of(task: Task) -> Goal:
    return Goal(**task.data["goal"])


def fixed_splits(goals: Sequence[Goal], test: int, train: int | None) -> dict[str, GoalTasks]:
    """``train`` and ``test``; the first ``train`` training goals, or all.

    A product's goals must stand beside each other in ``goals``. Raises EnvironmentSetupError when there are
    too few goals.
    """
    order = _shuffled(len(goals), SHUFFLE)
    held_out: list[int] = []
    asked: set[Any] = set()
    for index in order:
        if len(held_out) == test:
            break
        wanted = _wanted(goals[int(index)])
        if wanted not in asked:
            asked.add(wanted)
            held_out.append(int(index))
    twins = {twin for index in held_out for twin in _same_product(goals, index) if _wanted(goals[twin]) in asked}
    rest = order[~np.isin(order, sorted(twins))]
    _check(len(goals), len(held_out), len(rest), test, train)
    return {"train": GoalTasks(goals, rest[:train]), "test": GoalTasks(goals, np.array(held_out))}


def legacy_splits(goals: Sequence[Goal], test: int, train: int | None) -> dict[str, GoalTasks]:
    """Upstream's leaking splits, and ``unseen``: those goals of ``test`` that are not trained on."""
    held_out, other = (_shuffled(len(goals), seed) for seed in (SHUFFLE, OTHER_SHUFFLE))
    held_out, rest = held_out[:test], other[test:]
    _check(len(goals), len(held_out), len(rest), test, train)
    unseen = held_out[~np.isin(held_out, rest[:train])]
    indices = {"train": rest[:train], "test": held_out, "unseen": unseen}
    return {split: GoalTasks(goals, chosen) for split, chosen in indices.items()}


def _shuffled(count: int, seed: int) -> np.ndarray:
    """Numbers below ``count`` in an order that follows from both, by numpy's generator whose stream is frozen."""
    return np.random.RandomState(seed).permutation(count)


def _wanted(goal: Goal) -> tuple[Any, ...]:
    """What a goal asks for, whatever its id and wording."""
    return goal.asin, tuple(sorted(goal.options)), tuple(sorted(goal.attributes))


def _same_product(goals: Sequence[Goal], index: int) -> list[int]:
    """Indices of all goals of this goal's product."""
    asin = goals[index].asin
    first = last = index
    while first > 0 and goals[first - 1].asin == asin:
        first -= 1
    while last + 1 < len(goals) and goals[last + 1].asin == asin:
        last += 1
    return list(range(first, last + 1))


def _check(goals: int, held_out: int, rest: int, test: int, train: int | None) -> None:
    if held_out < test or rest < (train or 1):
        raise EnvironmentSetupError(
            f"the store's {goals} goals do not make {test} for test and {train or 'some'} for train "
            f"({held_out} and {rest} can be had): lower environment.options.test or train, or use more products"
        )
