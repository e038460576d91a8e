"""Two runs on the same tasks, by enumeration: Newcombe's paired difference, McNemar's test exact and mid-p."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.stats import binom

from calibration import worlds
from calibration.shares import limits
from calibration.table import Row, row

PHIS = (0.0, 0.3, 0.6)
DISCORDANT = np.linspace(0.01, 1.0, 100)
LEFT_OUT = 1e-6
"""Tail of each count that the enumeration leaves out; it is counted as not covered."""


def newcombe_holds(a: np.ndarray, b: np.ndarray, c: np.ndarray, n: int, truth: float) -> np.ndarray:
    """Whether the interval of ``paired_difference_from_counts`` holds the truth, for arrays of counts."""
    low, high = limits(n)
    first, second = a + b, a + c
    p1, p2 = first / n, second / n
    x1, y1, x2, y2 = p1 - low[first], high[first] - p1, p2 - low[second], high[second] - p2
    d = n - a - b - c
    product = (a * d - b * c).astype(float)
    product = np.where(product > 0, np.maximum(product - n / 2, 0), product)
    margins = first * (n - first) * (second * (n - second)).astype(float)
    phi = np.where(margins > 0, product / np.sqrt(np.where(margins > 0, margins, 1)), 0.0)
    gap = p1 - p2
    down = np.sqrt(np.maximum(x1 * x1 - 2 * phi * x1 * y2 + y2 * y2, 0))
    up = np.sqrt(np.maximum(y1 * y1 - 2 * phi * y1 * x2 + x2 * x2, 0))
    return (gap - down <= truth + 1e-12) & (truth - 1e-12 <= gap + up)


def newcombe_coverage(n: int, rate1: float, rate2: float, phi: float) -> float:
    """Exact coverage: the sum over (both, only first, only second) of the multinomial's probability."""
    both = float(worlds.both_succeed(np.array(rate1), np.array(rate2), phi))
    only1, only2 = rate1 - both, rate2 - both
    ranges = [np.arange(binom.ppf(LEFT_OUT, n, p), binom.isf(LEFT_OUT, n, p) + 1).astype(int) for p in (only1, only2)]
    total = 0.0
    rest = 1 - only1
    for b in ranges[0]:
        at_b = binom.pmf(b, n, only1)
        c = ranges[1][ranges[1] <= n - b]
        at_c = binom.pmf(c, n - b, only2 / rest)
        left = n - b - c
        share = both / (rest - only2)
        a = np.arange(binom.ppf(LEFT_OUT, left.min(), share), binom.isf(LEFT_OUT, left.max(), share) + 1).astype(int)
        a_CA, c_CA = np.minimum(a[None, :], left[:, None]), c[:, None]
        at_a = np.where(a[None, :] <= left[:, None], binom.pmf(a[None, :], left[:, None], share), 0.0)
        inside = newcombe_holds(a_CA, np.full_like(a_CA, b), np.broadcast_to(c_CA, a_CA.shape), n, rate1 - rate2)
        total += at_b * float(at_c @ (at_a * inside).sum(axis=1))
    return total


def differences(tasks: Sequence[int]) -> Iterator[Row]:
    for n in tasks:
        cells = {}
        for rate1, rate2 in worlds.pairs_of_rates():
            for phi in PHIS:
                if rate1 * rate2 + phi * np.sqrt(rate1 * (1 - rate1) * rate2 * (1 - rate2)) < min(rate1, rate2):
                    cells[rate1, rate2, phi] = newcombe_coverage(n, rate1, rate2, phi)
        yield row("Newcombe, paired", "coverage", 1, n, "all", "exact", cells, "rate1 rate2 phi")


def mcnemar_rejects(most: int) -> tuple[np.ndarray, np.ndarray]:
    """False positives at 5 % given 0 … ``most`` discordant pairs, shape (most + 1,): of the exact test, of mid-p."""
    exact, mid = np.zeros(most + 1), np.zeros(most + 1)
    for m in range(most + 1):
        k = np.arange(m + 1)
        density = binom.pmf(k, m, 0.5)
        least = np.minimum(k, m - k)
        tail = np.cumsum(density)[least]
        exact[m] = density[np.minimum(2 * tail, 1) < 0.05].sum()
        mid[m] = density[np.where(2 * k == m, 1.0, 2 * tail - density[least]) < 0.05].sum()
    return exact, mid


def tests(tasks: Sequence[int]) -> Iterator[Row]:
    for name, given in zip(("McNemar, exact", "McNemar, mid-p"), mcnemar_rejects(max(tasks)), strict=True):
        for n in tasks:
            weights = binom.pmf(np.arange(n + 1)[:, None], n, DISCORDANT)
            cells = dict(zip(DISCORDANT, given[: n + 1] @ weights, strict=True))
            yield row(name, "false positives", 1, n, "all", "exact", cells, "discordant")
