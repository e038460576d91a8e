"""Which tasks a training step plays: a function of the seed and the step, so resuming needs no state."""

from __future__ import annotations

import random
from array import array
from collections.abc import Sequence

from sdar_envs.base import Task


class TaskSchedule:
    """Endless seeded passes over the training tasks; each pass visits every task once."""

    def __init__(self, tasks: Sequence[Task], per_step: int, seed: int) -> None:
        self._tasks = tasks
        self._per_step = per_step
        self._seed = seed
        self._passes: dict[int, array[int]] = {}

    def at(self, step: int) -> list[Task]:
        """The tasks of one step, one a group, and no other is made. Steps count from 0."""
        first = step * self._per_step
        return [self._tasks[self._index(i)] for i in range(first, first + self._per_step)]

    def _index(self, position: int) -> int:
        number, offset = divmod(position, len(self._tasks))
        if number not in self._passes:
            # 8 bytes a task: a split may have millions.
            order = array("Q", range(len(self._tasks)))
            random.Random(f"{self._seed}/{number}").shuffle(order)
            self._passes = {k: v for k, v in self._passes.items() if k >= number - 1} | {number: order}
        return self._passes[number][offset]
