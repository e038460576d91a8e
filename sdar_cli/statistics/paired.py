"""Two shares of the same tasks: ``first`` and ``second`` hold a boolean a task, in one order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from sdar_cli.statistics.interval import LEVEL, Interval, normal_quantile
from sdar_cli.statistics.proportion import wilson


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
    """``episodes_for`` a difference and a share of discordant pairs like those seen; None where they do not differ."""
    counts = PairCounts.of(first, second)
    difference = (counts.only_first - counts.only_second) / counts.n
    discordant = (counts.only_first + counts.only_second) / counts.n
    return episodes_for(difference, discordant, level, power)


def episodes_for(difference: float, discordant: float, level: float = LEVEL, power: float = 0.8) -> int | None:
    """Paired tasks with which McNemar's test finds a difference of shares with this power.

    Connor (1987, Biometrics 43:207), unconditional: ((z·√ψ + z'·√(ψ − δ²)) / δ)² for ``difference`` δ and ψ, the
    share of ``discordant`` pairs. None for a difference of 0. Raises ValueError unless |δ| ≤ ψ ≤ 1, and for a level
    or a power outside (0, 1).
    """
    z = normal_quantile(level)
    if not 0 < power < 1:
        raise ValueError(f"a power lies between 0 and 1, not at {power}")
    if not abs(difference) <= discordant <= 1:
        raise ValueError(f"no pairs: a difference of {difference} where a share of {discordant} differs")
    if difference == 0:
        return None
    at_null = z * math.sqrt(discordant)
    at_difference = NormalDist().inv_cdf(power) * math.sqrt(discordant - difference**2)
    return math.ceil(((at_null + at_difference) / difference) ** 2)


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
