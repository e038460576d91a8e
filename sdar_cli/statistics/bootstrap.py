"""Ratios of sums over tasks, by a seeded bootstrap."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np

from sdar_cli.statistics.interval import LEVEL, Interval
from sdar_cli.statistics.paired import paired_difference


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
