"""Intervals and tests for success rates, paired by task.

All are two-sided. Proportions and differences are shares (0.25), not points. Success is a boolean a
task; ``first`` and ``second`` hold the same tasks in the same order.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with the limits of its confidence interval."""

    estimate: float
    low: float
    high: float
    level: float = LEVEL

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def to_json(self) -> dict[str, float]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class PairCounts:
    """The four counts of paired successes."""

    both: int
    only_first: int
    only_second: int
    neither: int

    @classmethod
    def of(cls, first: Sequence[bool], second: Sequence[bool]) -> PairCounts:
        """Raises ValueError when the lengths differ or nothing is paired."""
        if len(first) != len(second) or not len(first):
            raise ValueError(f"cannot pair {len(first)} results with {len(second)}")
        a, b = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
        return cls(int((a & b).sum()), int((a & ~b).sum()), int((~a & b).sum()), int((~a & ~b).sum()))

    @property
    def n(self) -> int:
        return self.both + self.only_first + self.only_second + self.neither


def wilson(k: int, n: int, level: float = LEVEL) -> Interval:
    """Score interval of a proportion, k successes in n trials (Wilson 1927, JASA 22:209).

    Raises ValueError unless 0 ≤ k ≤ n and n ≥ 1.
    """
    if not 0 <= k <= n or n < 1:
        raise ValueError(f"no proportion: {k} successes in {n} trials")
    z = _z(level)
    p, q = k / n, (n - k) / n
    centre = p + z * z / (2 * n)
    spread = z * math.sqrt(p * q / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    low = 0.0 if k == 0 else (centre - spread) / scale
    high = 1.0 if k == n else (centre + spread) / scale
    return Interval(p, low, high, level)


def paired_difference(first: Sequence[bool], second: Sequence[bool], level: float = LEVEL) -> Interval:
    """Difference of paired proportions, first − second: hybrid score interval.

    Method 10 of Newcombe (1998, Statistics in Medicine 17:2635): the Wilson limits of each proportion,
    put together with the continuity-corrected φ of the pairs as their correlation. Stays within
    [−1, 1], and holds near-nominal coverage also where Wald's interval collapses (no discordant pairs).
    """
    return paired_difference_from_counts(PairCounts.of(first, second), level)


def paired_difference_from_counts(counts: PairCounts, level: float = LEVEL) -> Interval:
    """``paired_difference`` from the four counts."""
    n = counts.n
    p1 = wilson(counts.both + counts.only_first, n, level)
    p2 = wilson(counts.both + counts.only_second, n, level)
    phi = _corrected_phi(counts)
    difference = (counts.only_first - counts.only_second) / n
    down = _combine(p1.estimate - p1.low, p2.high - p2.estimate, phi)
    up = _combine(p1.high - p1.estimate, p2.estimate - p2.low, phi)
    return Interval(difference, max(-1.0, difference - down), min(1.0, difference + up), level)


def mcnemar(first: Sequence[bool], second: Sequence[bool]) -> float:
    """Exact two-sided p-value that both succeed equally often (McNemar 1947; binomial on the discordant)."""
    counts = PairCounts.of(first, second)
    discordant = counts.only_first + counts.only_second
    tail = term = 1
    for i in range(min(counts.only_first, counts.only_second)):
        term = term * (discordant - i) // (i + 1)
        tail += term
    return 1.0 if 2 * tail >= 2**discordant else 2 * tail / 2**discordant


def episodes_needed(
    first: Sequence[bool], second: Sequence[bool], level: float = LEVEL, power: float = 0.8
) -> int | None:
    """Paired tasks with which a difference like the one seen is found with this power (Connor 1987,
    Biometrics 43:207, unconditional McNemar); None where no difference was seen.
    """
    counts = PairCounts.of(first, second)
    difference = abs(counts.only_first - counts.only_second) / counts.n
    if difference == 0:
        return None
    discordant = (counts.only_first + counts.only_second) / counts.n
    at_null = _z(level) * math.sqrt(discordant)
    at_difference = NormalDist().inv_cdf(power) * math.sqrt(max(0.0, discordant - difference**2))
    return math.ceil(((at_null + at_difference) / difference) ** 2)


def ratio_bootstrap(
    numerators: Sequence[float],
    denominators: Sequence[float],
    *,
    clusters: Sequence[Hashable] | None = None,
    level: float = LEVEL,
    resamples: int = 10_000,
    seed: int = 0,
) -> Interval | None:
    """Ratio of sums over tasks, percentile interval of a seeded bootstrap (Davison & Hinkley 1997, ch. 5).

    Tasks are drawn whole, so that what is paired within a task stays so; with ``clusters`` (a label a
    task) whole clusters are drawn. A resample whose denominator is 0 counts as infinite. None where
    the denominator's sum is 0, or where a limit comes out infinite.
    """
    sums = np.column_stack([np.asarray(numerators, float), np.asarray(denominators, float)])
    if clusters is not None:
        if len(clusters) != len(sums):
            raise ValueError(f"{len(clusters)} cluster labels for {len(sums)} tasks")
        order = {label: i for i, label in enumerate(dict.fromkeys(clusters))}
        grouped = np.zeros((len(order), 2))
        np.add.at(grouped, [order[label] for label in clusters], sums)
        sums = grouped
    top, bottom = sums.sum(axis=0)
    if bottom == 0:
        return None
    # Equal draws are interchangeable: K distinct ones, drawn by how often they occur.
    values_K2, counts_K = np.unique(sums, axis=0, return_counts=True)
    generator = np.random.default_rng(seed)
    ratios = np.empty(resamples)
    for start in range(0, resamples, 1000):
        rows = min(1000, resamples - start)
        weights_RK = generator.multinomial(len(sums), counts_K / len(sums), size=rows)
        drawn_R2 = weights_RK @ values_K2
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios[start : start + rows] = drawn_R2[:, 0] / drawn_R2[:, 1]
    ratios = ratios[~np.isnan(ratios)]
    low, high = np.quantile(ratios, [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf")
    if not (math.isfinite(low) and math.isfinite(high)):
        return None
    return Interval(float(top / bottom), float(low), float(high), level)


def internalised_fraction(
    trained_without: Sequence[bool],
    base_without: Sequence[bool],
    base_with: Sequence[bool],
    *,
    clusters: Sequence[Hashable] | None = None,
    level: float = LEVEL,
    resamples: int = 10_000,
    seed: int = 0,
) -> Interval | None:
    """(trained without skills − base without) / (base with skills − base without), by ``ratio_bootstrap``.

    None, undefined, unless the paired interval of the denominator lies above 0: where the base gains
    nothing certain from skills, there is nothing to internalise, and the ratio has no meaning.
    """
    if paired_difference(base_with, base_without, level).low <= 0:
        return None
    base = np.asarray(base_without, dtype=float)
    return ratio_bootstrap(
        np.asarray(trained_without, dtype=float) - base,
        np.asarray(base_with, dtype=float) - base,
        clusters=clusters,
        level=level,
        resamples=resamples,
        seed=seed,
    )


def seed_difference(differences: Sequence[float], level: float = LEVEL) -> Interval:
    """Mean of differences paired by seed, with Student's t interval; ValueError for fewer than two."""
    if len(differences) < 2:
        raise ValueError("an interval over seeds needs at least two seeds")
    from scipy.special import stdtrit

    values = np.asarray(differences, dtype=float)
    half = stdtrit(len(values) - 1, (1 + level) / 2) * values.std(ddof=1) / math.sqrt(len(values))
    mean = float(values.mean())
    return Interval(mean, mean - float(half), mean + float(half), level)


def _z(level: float) -> float:
    if not 0 < level < 1:
        raise ValueError(f"a confidence level lies between 0 and 1, not at {level}")
    return NormalDist().inv_cdf((1 + level) / 2)


def _corrected_phi(counts: PairCounts) -> float:
    a, b, c, d = counts.both, counts.only_first, counts.only_second, counts.neither
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    if margins == 0:
        return 0.0
    product = a * d - b * c
    if product > 0:
        product = max(product - counts.n / 2, 0.0)
    return product / math.sqrt(margins)


def _combine(x: float, y: float, phi: float) -> float:
    return math.sqrt(max(0.0, x * x - 2 * phi * x * y + y * y))


def as_json(value: Interval | None) -> dict[str, Any] | None:
    """An interval as plain data; None stays None."""
    return None if value is None else value.to_json()
