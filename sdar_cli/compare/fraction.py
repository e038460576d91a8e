"""The internalised fraction over seeds: a ratio of two means."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sdar_cli.statistics import LEVEL, Interval, seed_difference


def ratio_over_seeds(
    gained: Sequence[float], offered: Sequence[float], level: float = LEVEL, *, grid: float | None = None
) -> Interval | None:
    """Mean of ``gained`` over mean of ``offered``, paired by seed, with Fieller's interval (1954, J. R. Stat. Soc. B
    16:175) by Student's t.

    The interval holds every ratio r whose ``gained − r·offered`` has a mean that differs from 0 by less than its t
    limits. None, undefined, unless the interval of ``offered`` lies above 0: exactly there it has two ends.
    ``grid`` is the step of either mean, as in ``seed_difference``. ValueError for fewer than two seeds.
    """
    top, bottom = seed_difference(gained, level, grid=grid), seed_difference(offered, level, grid=grid)
    if bottom.low <= 0:
        return None
    # (ā − r·b̄)² ≤ t²/n·(s²_a − 2r·s_ab + r²·s²_b), a quadratic in r whose terms are squares of half widths.
    square_a, square_b = _half(top) ** 2, _half(bottom) ** 2
    both = [a + b for a, b in zip(gained, offered, strict=True)]
    product = (_square(both, level) - _square(gained, level) - _square(offered, level)) / 2
    second = bottom.estimate**2 - square_b
    first = top.estimate * bottom.estimate - product
    constant = top.estimate**2 - square_a
    half = math.sqrt(max(0.0, first * first - second * constant))
    return Interval(top.estimate / bottom.estimate, (first - half) / second, (first + half) / second, level)


def _half(interval: Interval) -> float:
    return interval.high - interval.estimate


def _square(values: Sequence[float], level: float) -> float:
    return _half(seed_difference(values, level)) ** 2
