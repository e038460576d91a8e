"""Means over task types, each type counting once however many tasks it has (a benchmark's mean of seven data sets)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sdar_cli.evaluation.cells import Cells, Row
from sdar_cli.statistics import LEVEL, Interval, paired_difference

if TYPE_CHECKING:
    from sdar_cli.evaluation.result import Evaluation

Means = Mapping[str, tuple[str, ...]]
"""Name → task types, as ``Environment.means``."""


def mean_of_strata(parts: Sequence[Interval]) -> Interval:
    """Mean of independent estimates, each of which weighs the same, from their own intervals.

    The distances from each estimate to its limits are added in squares: Zou, Huang and Zhang (2009,
    Computational Statistics & Data Analysis 53:1080), there for Wilson's intervals of proportions, here
    also for Newcombe's of paired differences. One part gives its own interval; limits never leave the
    means of the parts' limits, so a mean of shares stays within [0, 1].

    Raises ValueError without parts, or when they have different levels.
    """
    if not parts or len({part.level for part in parts}) != 1:
        raise ValueError(f"no mean of intervals with the levels {[part.level for part in parts]}")
    if len(parts) == 1:
        return parts[0]
    count = len(parts)
    estimate = math.fsum(part.estimate for part in parts) / count
    down = math.hypot(*(part.estimate - part.low for part in parts)) / count
    up = math.hypot(*(part.high - part.estimate for part in parts)) / count
    return Interval(estimate, estimate - down, estimate + up, parts[0].level)


def stated(means: Means, by_type: Mapping[str, Interval]) -> dict[str, Interval]:
    """The means whose types were all played."""
    return {
        name: mean_of_strata([by_type[task_type] for task_type in types])
        for name, types in means.items()
        if types and all(task_type in by_type for task_type in types)
    }


def means_of_cells(rows: Sequence[Row], level: float = LEVEL) -> dict[str, Cells]:
    """Every mean in all cells, also in those that were measured before the environment had means.

    Evaluations must list the same tasks in one order.
    """
    means: Means = next((cell.means for row in reversed(rows) for cell in row[1:] if cell.means), {})
    played = rows[0][1].summary.by_type
    return {name: _cells(rows, means[name], level) for name in stated(means, played)}


def type_mean(evaluation: Evaluation, types: Sequence[str], level: float = LEVEL) -> Interval:
    """Mean of the success on each of these types, all of which were played."""
    by_type = evaluation.summary_at(level).by_type
    return mean_of_strata([by_type[task_type] for task_type in types])


def mean_difference(first: Evaluation, second: Evaluation, types: Sequence[str], level: float = LEVEL) -> Interval:
    """Mean over these types of the paired difference first − second."""
    parts = []
    for task_type in types:
        chosen = [i for i, record in enumerate(first.records) if record.task_type == task_type]
        a, b = ([evaluation.records[i].won for i in chosen] for evaluation in (first, second))
        parts.append(paired_difference(a, b, level))
    return mean_of_strata(parts)


def _cells(rows: Sequence[Row], types: Sequence[str], level: float) -> Cells:
    return Cells.of(
        rows,
        lambda evaluation: type_mean(evaluation, types, level),
        lambda first, second: mean_difference(first, second, types, level),
    )
