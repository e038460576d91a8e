"""How many seeds, and how large a difference: power of the paired t-test.

``power`` is the probability of finding the difference. It is of the difference that was seen, which is itself
uncertain: a figure to plan with, no proof.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from sdar_cli.statistics.interval import LEVEL, normal_quantile
from sdar_cli.statistics.seeds import seed_difference, standard_deviation

POWER = 0.8
MOST_SEEDS = 10_000
"""Nobody trains more; what needs more is not seen."""


def detectable(spread: float, seeds: int, *, power: float = POWER, level: float = LEVEL) -> float:
    """The difference δ that a two-sided paired t-test finds with this power: δ = ν·s/√n.

    ν is the noncentrality at which a noncentral t variable of n − 1 degrees of freedom exceeds the critical value
    t(n − 1; (1 + level)/2) with probability ``power`` (Cohen 1988, ch. 2; the far tail, below 10⁻⁵ of the power, is
    left out). ``spread`` is s, the standard deviation of the differences. Raises ValueError for fewer than two seeds,
    a level outside (0, 1), or a power outside (1 − level, 1).
    """
    if seeds < 2:
        raise ValueError("a difference over seeds needs at least two seeds")
    return _noncentrality(seeds, power, level) * spread / math.sqrt(seeds)


def seeds_for(difference: float, spread: float, level: float = LEVEL, power: float = POWER) -> int | None:
    """The least number of seeds, two or more, whose ``detectable`` difference is ``difference`` or less.

    ``spread`` is s, the standard deviation of the differences over seeds. None for a difference of 0, or where
    ``MOST_SEEDS`` would not do. Raises ValueError as ``detectable`` does.
    """
    _check(power, level)
    if difference == 0:
        return None
    low, high = 1, 2
    while detectable(spread, high, power=power, level=level) > abs(difference):
        if high == MOST_SEEDS:
            return None
        low, high = high, min(2 * high, MOST_SEEDS)
    while high - low > 1:
        middle = (low + high) // 2
        if detectable(spread, middle, power=power, level=level) > abs(difference):
            low = middle
        else:
            high = middle
    return high


def seeds_needed(
    differences: Sequence[float], level: float = LEVEL, power: float = POWER, *, grid: float | None = None
) -> int | None:
    """``seeds_for`` a mean difference and a spread like those seen; None where no difference was seen.

    ``grid`` as for ``seed_difference``, whose ValueErrors it shares.
    """
    mean = seed_difference(differences, level, grid=grid).estimate
    return seeds_for(mean, standard_deviation(differences, grid), level, power)


def _noncentrality(seeds: int, power: float, level: float) -> float:
    _check(power, level)
    from scipy.optimize import brentq
    from scipy.special import nctdtr, stdtrit

    freedom = seeds - 1
    critical = float(stdtrit(freedom, (1 + level) / 2))
    return float(brentq(lambda shift: nctdtr(freedom, shift, critical) - (1 - power), 0.0, 10 * critical))


def _check(power: float, level: float) -> None:
    normal_quantile(level)
    if not 1 - level < power < 1:
        raise ValueError(f"a power lies between {1 - level:g} and 1, not at {power}")
