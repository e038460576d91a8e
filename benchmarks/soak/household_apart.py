"""The household in worker processes that crash, hang and answer garbage, as a function of task, turn and action alone.

So an undisturbed run meets the same faults as a disturbed one, and the same episodes are flagged in both.
"""

from __future__ import annotations

import hashlib
import os
import time
from typing import Any, ClassVar, Literal

from sdar_envs.base import Observation, Step, Task
from sdar_envs.household.environment import Household

CRASH, GARBAGE, HANG = 1 / 3000, 1 / 1500, 1 / 20000
"""Share of the turns."""


class HouseholdApart(Household):
    """Named ``benchmarks/soak/household_apart.py:HouseholdApart`` in a recipe."""

    name: ClassVar[str] = "household"
    isolation: ClassVar[Literal["inline", "thread", "process"]] = "process"

    def reset(self, task: Task) -> Observation:
        self._task_id, self._turn = task.id, 0
        return super().reset(task)

    def step(self, action: str) -> Step:
        self._turn += 1
        word = f"{self._task_id}/{self._turn}/{action}".encode("utf-8", "replace")
        drawn = int.from_bytes(hashlib.sha256(word).digest()[:8], "big") / 2**64
        if drawn < CRASH:
            os._exit(3)
        if drawn < CRASH + GARBAGE:
            return _garbage(self._turn)
        if drawn < CRASH + GARBAGE + HANG:
            time.sleep(3600)
        return super().step(action)


def _garbage(turn: int) -> Any:
    return (None, Step(Observation("x"), float("nan"), False, False), Step("text", 0.0, False, False))[turn % 3]  # type: ignore[arg-type]
