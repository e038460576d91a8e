"""Which evaluations may be compared: those of the same tasks, played under the same conditions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sdar_cli.errors import PanelError
from sdar_cli.evaluation import conditions
from sdar_cli.evaluation.result import Evaluation


def check_mode(evaluation: Evaluation, mode: str) -> None:
    """Raises PanelError when it was made in the other mode."""
    if evaluation.mode != mode:
        raise PanelError(
            f"the evaluation {evaluation.name} has mode {evaluation.mode}, where {mode} was needed: "
            "swap the evaluations"
        )


@dataclass(frozen=True, slots=True)
class Difference:
    """A condition in which two evaluations differ."""

    key: str
    """``environment``, ``panel``, ``tasks``, or dotted: ``sampling.temperature``, ``options.…``, ``facts.…``."""
    first: Any
    second: Any


def differences(evaluation: Evaluation, other: Evaluation) -> list[Difference]:
    """The conditions in which two evaluations differ, as far as both say them; the gravest first."""
    found = [
        Difference(key, getattr(evaluation, key), getattr(other, key))
        for key in ("environment", "panel")
        if getattr(evaluation, key) != getattr(other, key)
    ]
    if not found and not same_tasks(evaluation, other):
        found.append(Difference("tasks", len(evaluation.records), len(other.records)))
    sampling = evaluation.sampling.keys() | other.sampling.keys()
    for key in sorted(key for key in sampling if evaluation.sampling.get(key) != other.sampling.get(key)):
        found.append(Difference(f"sampling.{key}", evaluation.sampling.get(key), other.sampling.get(key)))
    for section in ("options", "facts"):
        ours, theirs = getattr(evaluation, section), getattr(other, section)
        found += [Difference(f"{section}.{key}", ours[key], theirs[key]) for key in conditions.differing(ours, theirs)]
    return found


def same_tasks(evaluation: Evaluation, other: Evaluation) -> bool:
    """Whether both list the same tasks in one order, so that they can be paired."""
    return _tasks(evaluation) == _tasks(other)


def check_pair(evaluation: Evaluation, other: Evaluation) -> None:
    """Raises PanelError when two were not made on the same tasks under the same conditions, as far as is known."""
    found = differences(evaluation, other)
    if not found:
        return
    names, first = f"{evaluation.name} and {other.name}", found[0]
    section = first.key.partition(".")[0]
    keys = [one.key.partition(".")[2] for one in found if one.key.partition(".")[0] == section]
    if section in ("environment", "panel"):
        raise PanelError(
            f"{names} were scored on different panels ({_panel(evaluation)} and {_panel(other)}): "
            "evaluate both on one panel"
        )
    if section == "tasks":
        raise PanelError(f"{names} do not list the same tasks in one order: run both evaluations again")
    if section == "sampling":
        raise PanelError(
            f"{names} were sampled differently ({keys[0]}: {first.first} and {first.second}): "
            f"evaluate both with one setting of {', '.join(keys)}"
        )
    raise PanelError(
        f"{names} were played in environments that differ ({keys[0]}: {first.first} and {first.second}): "
        f"evaluate both with the same {', '.join(keys)}"
    )


def _tasks(evaluation: Evaluation) -> Sequence[str]:
    return [record.task_id for record in evaluation.records]


def _panel(evaluation: Evaluation) -> str:
    return f"{evaluation.environment} {evaluation.panel[:12]}"
