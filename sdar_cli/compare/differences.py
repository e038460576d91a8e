"""The test for a pair of rows, chosen by what there is: one run each, or several seeds, shared or not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from sdar_cli.compare.cells import Unit
from sdar_cli.compare.rates import Measured, by_task, grid_of, mean, unit_values
from sdar_cli.evaluation.scores import score_difference
from sdar_cli.statistics import (
    Interval,
    cohens_dz,
    cohens_h,
    episodes_needed,
    fisher,
    mcnemar,
    normal_quantile,
    paired_difference,
    paired_t,
    probability_of_improvement,
    seed_difference,
    seeds_for,
    seeds_needed,
    share_difference,
    unpaired_difference,
    unpaired_t,
)
from sdar_cli.statistics.seeds import standard_deviation

UNPAIRED = "unpaired t over seeds"


@dataclass(frozen=True, slots=True)
class Finding:
    """A difference first − second, in shares."""

    difference: Interval
    p_value: float
    test: str
    about: Literal["checkpoints", "methods"]
    count: int
    effect: float | None
    effect_name: str
    improvement: float | None
    needed: int | None
    seeds: tuple[tuple[int, ...], tuple[int, ...]]
    """Those that were used, of the first and of the second."""


def find(
    first: Sequence[Unit], second: Sequence[Unit], measure: Measured, part: str | None, level: float
) -> Finding | None:
    """None where a row lacks the evaluation or the task type.

    Two shared seeds or more are paired; two seeds or more on both sides that are not are compared unpaired; else one
    checkpoint of each is: of the one shared seed, or of each side's lowest.
    """
    a, b = unit_values(first, measure, part), unit_values(second, measure, part)
    if not a or not b:
        return None
    shared = [seed for seed in a if seed in b]
    steps = [step for step in (grid_of(units, measure, part) for units in (first, second)) if step is not None]
    grid = max(steps)
    if len(shared) > 1:
        return _paired_by_seed([a[seed] for seed in shared], [b[seed] for seed in shared], tuple(shared), level, grid)
    if len(a) > 1 and len(b) > 1:
        found = _unpaired(list(a.values()), list(b.values()), level, grid)
        return replace(found, seeds=(tuple(a), tuple(b)))
    return _of_checkpoints(_pick(first, shared), _pick(second, shared), measure, part, level)


def _unpaired(first: Sequence[float], second: Sequence[float], level: float, grid: float | None) -> Finding:
    """Two means of two values or more each, by the larger p-value of Welch's and the pooled t-test."""
    difference = mean(first) - mean(second)
    spread = math.hypot(standard_deviation(first), standard_deviation(second)) / math.sqrt(2)
    # So many pairs have the same standard error with half the degrees of freedom: one value more than is needed.
    both = math.hypot(standard_deviation(first, grid), standard_deviation(second, grid))
    return Finding(
        difference=_possible(unpaired_difference(first, second, level, grid=grid)),
        p_value=unpaired_t(first, second, grid=grid).p_value,
        test=UNPAIRED,
        about="methods",
        count=min(len(first), len(second)),
        effect=difference / spread if spread else None,
        effect_name="Cohen's d",
        improvement=probability_of_improvement(first, second),
        needed=seeds_for(difference, both, level),
        seeds=((), ()),
    )


def _paired_by_seed(
    first: Sequence[float], second: Sequence[float], seeds: tuple[int, ...], level: float, grid: float
) -> Finding:
    differences = [a - b for a, b in zip(first, second, strict=True)]
    return Finding(
        difference=_possible(seed_difference(differences, level, grid=grid)),
        p_value=paired_t(differences, grid=grid).p_value,
        test="paired t over seeds",
        about="methods",
        count=len(differences),
        effect=cohens_dz(differences),
        effect_name="Cohen's d_z",
        improvement=probability_of_improvement(first, second),
        needed=seeds_needed(differences, level, grid=grid),
        seeds=(seeds, seeds),
    )


def _possible(interval: Interval) -> Interval:
    """Cut off at what a difference of two shares can be."""
    return Interval(interval.estimate, max(-1.0, interval.low), min(1.0, interval.high), interval.level)


def _pick(units: Sequence[Unit], shared: Sequence[int]) -> Unit:
    return next(unit for unit in units if not shared or unit.seed == shared[0])


def _of_checkpoints(first: Unit, second: Unit, measure: Measured, part: str | None, level: float) -> Finding:
    a, b = _of_tasks(first, measure, part), _of_tasks(second, measure, part)
    single = len(first.entries) == len(second.entries) == 1
    seeds = (first.seed,), (second.seed,)
    if measure != "score" and single:
        return replace(_of_shares(a, b, level), seeds=seeds)
    if list(a) == list(b) and len(a) > 1:
        values = [a[task] - b[task] for task in a]
        return Finding(
            difference=score_difference(list(a.values()), list(b.values()), level),
            p_value=paired_t(values).p_value,
            test="paired t over tasks",
            about="checkpoints",
            count=len(values),
            effect=cohens_dz(values),
            effect_name="Cohen's d_z",
            improvement=None,
            needed=seeds_needed(values, level),
            seeds=seeds,
        )
    if min(len(a), len(b)) == 1:
        difference = mean(list(a.values())) - mean(list(b.values()))
        open_range = Interval(difference, -1.0, 1.0, level)
        return Finding(open_range, 1.0, "none, of a single task", "checkpoints", 1, None, "", None, None, seeds)
    found = _unpaired(list(a.values()), list(b.values()), level, None)
    return replace(found, test="unpaired t over tasks", about="checkpoints", improvement=None, seeds=seeds)


def _of_shares(a: dict[str, float], b: dict[str, float], level: float) -> Finding:
    first, second = [bool(value) for value in a.values()], [bool(value) for value in b.values()]
    paired = list(a) == list(b)
    counts = sum(first), len(first), sum(second), len(second)
    return Finding(
        difference=paired_difference(first, second, level) if paired else share_difference(*counts, level),
        p_value=mcnemar(first, second) if paired else fisher(*counts),
        test="exact McNemar" if paired else "Fisher's exact, unpaired",
        about="checkpoints",
        count=min(len(first), len(second)),
        effect=cohens_h(mean(first), mean(second)),
        effect_name="Cohen's h",
        improvement=None,
        needed=episodes_needed(first, second, level) if paired else _shares_needed(mean(first), mean(second), level),
        seeds=((), ()),
    )


def _shares_needed(first: float, second: float, level: float) -> int | None:
    """Tasks on each side, unpaired, for 80 % power, by Cohen's h (1988, eq. 6.4.1); None without a difference."""
    effect = cohens_h(first, second)
    if effect == 0:
        return None
    return max(2, math.ceil(2 * ((normal_quantile(level) + normal_quantile(0.6)) / effect) ** 2))


def _of_tasks(unit: Unit, measure: Measured, part: str | None) -> dict[str, float]:
    """Task id → mean over the unit's runs."""
    found: dict[str, list[float]] = {}
    for entry in unit.entries:
        for task, value in (by_task(entry, measure, part) or {}).items():
            found.setdefault(task, []).append(value)
    return {task: mean(values) for task, values in found.items()}
