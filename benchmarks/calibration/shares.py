"""One share, and two independent ones, by enumeration: Wilson, Newcombe's unpaired difference, Fisher's test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from scipy.stats import binom

from calibration import worlds
from calibration.table import Row, row
from sdar_cli.statistics import fisher, wilson

EDGE = 0.05
"""Rates from here to 1 − this are what the means are over."""


@lru_cache
def limits(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's lower and upper limits for 0 … n successes."""
    intervals = [wilson(k, n) for k in range(n + 1)]
    return np.array([i.low for i in intervals]), np.array([i.high for i in intervals])


def wilson_coverage(n: int, rates_P: np.ndarray) -> np.ndarray:
    """Exact coverage at each true rate, shape (P,)."""
    low, high = limits(n)
    inside = (low[:, None] <= rates_P) & (rates_P <= high[:, None])
    return (binom.pmf(np.arange(n + 1)[:, None], n, rates_P) * inside).sum(axis=0)


def single(tasks: Sequence[int]) -> Iterator[Row]:
    for n in tasks:
        p = np.linspace(EDGE, 1 - EDGE, 1801)
        cells = dict(zip(p, wilson_coverage(n, p), strict=True))
        yield row("Wilson", "coverage", 1, n, f"rates {EDGE} to {1 - EDGE}", "exact", cells, "rate")
        p = np.linspace(0.001, EDGE, 200, endpoint=False)
        cells = dict(zip(p, wilson_coverage(n, p), strict=True))
        yield row("Wilson", "coverage", 1, n, f"rates under {EDGE}", "exact", cells, "rate")


def two(tasks: Sequence[int]) -> Iterator[Row]:
    """Independent groups of one size."""
    for n in tasks:
        k = np.arange(n + 1)
        low, high = limits(n)
        p = k / n
        down = np.sqrt((p - low)[:, None] ** 2 + (high - p)[None, :] ** 2)
        up = np.sqrt((high - p)[:, None] ** 2 + (p - low)[None, :] ** 2)
        gap = p[:, None] - p[None, :]
        density = {rate: binom.pmf(k, n, rate) for pair in worlds.pairs_of_rates() for rate in pair}
        cells = {}
        for rate1, rate2 in worlds.pairs_of_rates():
            truth = rate1 - rate2
            inside = (gap - down <= truth) & (truth <= gap + up)
            cells[rate1, rate2] = float(density[rate1] @ inside @ density[rate2])
        yield row("Newcombe, unpaired", "coverage", 1, n, "all", "exact", cells, "rate1 rate2")
        rejected = fisher_rejects(n)
        null = {rate: float(density[rate] @ rejected @ density[rate]) for rate in worlds.RATES}
        yield row("Fisher", "false positives", 1, n, "all", "exact", null, "rate")


def fisher_rejects(n: int) -> np.ndarray:
    """Whether p < 0.05 for every (k1, k2), shape (n + 1, n + 1): for each margin, two thresholds."""
    rejected = np.zeros((n + 1, n + 1), bool)
    for solved in range(n + 1):
        for k1 in range(solved // 2 + 1):
            # p grows towards equal shares, so that the first that is not rejected ends the tail.
            if fisher(k1, n, solved - k1, n) >= 0.05:
                break
            k2 = solved - k1
            for a, b in ((k1, k2), (k2, k1)):
                rejected[a, b] = rejected[n - a, n - b] = True
    return rejected
