"""The environment's native score, where it says more than success (WebShop's partly right purchases).

Scores and their differences are shares here; tables show them × 100.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from sdar_cli.evaluation.cells import Cells, Row
from sdar_cli.statistics import LEVEL, Interval, seed_difference

if TYPE_CHECKING:
    from sdar_cli.evaluation.result import EpisodeRecord, Evaluation


def graded(records: Iterable[EpisodeRecord]) -> bool:
    """Whether a score differs from success; an environment that scores everything 0 has none to show."""
    records = list(records)
    return any(record.score for record in records) and any(record.score != record.won for record in records)


def mean_score(scores: Sequence[float], level: float = LEVEL) -> Interval:
    """Mean of scores in [0, 1], Student's t interval over tasks, cut off at the range's ends."""
    return _mean(scores, level, least=0.0)


def score_difference(first: Sequence[float], second: Sequence[float], level: float = LEVEL) -> Interval:
    """Mean of first − second over paired tasks, Student's t interval, cut off at −1 and 1."""
    return _mean([a - b for a, b in zip(first, second, strict=True)], level, least=-1.0)


def score_cells(rows: Sequence[Row], level: float = LEVEL) -> Cells | None:
    """The score in all cells; None where no cell is graded. Evaluations must list the same tasks in one order."""
    if not graded(record for row in rows for cell in row[1:] for record in cell.records):
        return None
    return Cells.of(
        rows,
        lambda evaluation: mean_score(evaluation.scores(), level),
        lambda first, second: score_difference(first.scores(), second.scores(), level),
    )


def score_of(evaluation: Evaluation, level: float = LEVEL) -> Interval | None:
    """The score of one evaluation; None where it is not graded."""
    return mean_score(evaluation.scores(), level) if graded(evaluation.records) else None


def _mean(values: Sequence[float], level: float, least: float) -> Interval:
    """A single task leaves the whole range open."""
    if len(values) == 1:
        return Interval(values[0], least, 1.0, level)
    whole = seed_difference(values, level)
    return Interval(whole.estimate, max(least, whole.low), min(1.0, whole.high), level)
