"""The horizon of a task: how many turns the environment's expert needs for it, in three slices."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sdar_cli.errors import EnvironmentSetupError
from sdar_envs.base import Environment, Task


@dataclass(frozen=True, slots=True)
class Slice:
    name: str
    """In metrics and JSON."""
    label: str
    """In tables and plots."""
    most: float
    """Turns up to which a task belongs here, the slices before this one taken off."""


SLICES = (
    Slice("turns_le_5", "≤ 5", 5),
    Slice("turns_6_10", "6–10", 10),
    Slice("turns_gt_10", "> 10", math.inf),
)


def slice_of(expert_turns: int) -> Slice:
    """The slice that a task of so many expert turns belongs to."""
    return next(one for one in SLICES if expert_turns <= one.most)


def expert_turns(environment: Environment, task: Task) -> int | None:
    """Turns of the environment's own expert on a task; None where it has none.

    Raises EnvironmentSetupError when the expert fails.
    """
    try:
        actions = environment.expert(task)
    except EnvironmentSetupError:
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise EnvironmentSetupError(
            f"the expert of environment {environment.name!r} failed on task {task.id} ({reason}): mend its expert(), "
            "or let it return None where it knows no solution"
        ) from error
    return None if actions is None else len(actions)
