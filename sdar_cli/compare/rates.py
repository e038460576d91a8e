"""What a row's values are: a share or a score by run, task and task type, with its interval over tasks or seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from sdar_cli.compare.cells import Unit
from sdar_cli.compare.entry import Entry
from sdar_cli.evaluation.result import EpisodeRecord, Evaluation
from sdar_cli.evaluation.scores import mean_score
from sdar_cli.statistics import Interval, mean_over_seeds, wilson

Measured = Literal["success", "success_skills", "score"]


def evaluation_of(entry: Entry, measure: Measured) -> Evaluation | None:
    """Where a run's values of this measure stand."""
    return entry.skills if measure == "success_skills" else entry.no_skills


def value_of(record: EpisodeRecord, measure: Measured) -> float:
    """A score in [0, 1], or 1.0 where the task was solved."""
    return record.score if measure == "score" else float(record.won)


def by_task(entry: Entry, measure: Measured, part: str | None = None) -> dict[str, float] | None:
    """Task id → value, of one task type or of all; None where the run lacks the evaluation or the type."""
    evaluation = evaluation_of(entry, measure)
    if evaluation is None:
        return None
    return {
        record.task_id: value_of(record, measure)
        for record in evaluation.records
        if part is None or record.task_type == part
    } or None


def unit_values(units: Sequence[Unit], measure: Measured, part: str | None = None) -> dict[int, float] | None:
    """Seed → mean over the seed's runs; None where one lacks it."""
    found: dict[int, float] = {}
    for unit in units:
        tasks = [by_task(entry, measure, part) for entry in unit.entries]
        if any(one is None for one in tasks):
            return None
        found[unit.seed] = mean([mean(list(one.values())) for one in tasks if one is not None])
    return found


def grid_of(units: Sequence[Unit], measure: Measured, part: str | None = None) -> float | None:
    """The step of a unit's share: one over its tasks and runs, the coarsest of all units."""
    sizes = [
        len(unit.entries) * len(tasks)
        for unit in units
        if (tasks := by_task(unit.entries[0], measure, part)) is not None
    ]
    return 1 / min(sizes) if sizes else None


def rate(units: Sequence[Unit], measure: Measured, part: str | None, level: float) -> Interval | None:
    """Student's t over seeds; of one run Wilson's, or Student's t over its tasks where they are graded."""
    values = unit_values(units, measure, part)
    if not values:
        return None
    if len(values) > 1:
        return mean_over_seeds(list(values.values()), level, grid=grid_of(units, measure, part))
    return _of_one_seed(units[0], measure, part, level)


def _of_one_seed(unit: Unit, measure: Measured, part: str | None, level: float) -> Interval:
    tasks = [list(one.values()) for entry in unit.entries if (one := by_task(entry, measure, part))]
    if len(tasks) == 1 and measure != "score":
        return wilson(int(sum(tasks[0])), len(tasks[0]), level)
    if len({len(one) for one in tasks}) > 1:
        flat = [value for one in tasks for value in one]
        return mean_score(flat, level)
    return mean_score([mean(list(of_task)) for of_task in zip(*tasks, strict=True)], level)


def mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
