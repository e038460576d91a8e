"""Means over seeds, and differences paired by seed: Student's t (1908, Biometrika 6:1).

What is asked is about the method: seeds are a sample of all seeds, the panel stays as it is. A run's success rate is a
multiple of 1/tasks, ``grid``, and so is the difference of two. Where few seeds agree by rounding, their standard
deviation is 0, and t would take them for exact: two seeds of 32 to 128 tasks would then find a difference between equal
methods in up to 11 % of studies. So (``ROUNDING``·grid)² is added to the variance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sdar_cli.statistics.interval import LEVEL, Interval, normal_quantile

ROUNDING = 1 / 6
"""Standard deviation that rounding may hide, in grid steps: two seeds that agree get 1.5 steps either way.

Under 0.112 two seeds find differences of a single step, and err in up to 11 % of studies; over 0.222 they miss those of
two. In between, 1/6 brings mean coverage nearest to 95 %, and keeps any number of seeds from erring in more than 5.5 %
of studies, by the enumeration of ``benchmarks/calibration.py``. Where seeds differ by several steps it is nothing."""

SAME = 1e-9
"""Values nearer than this are equal: no panel is so large, and arithmetic on shares errs by less."""


@dataclass(frozen=True, slots=True)
class Test:
    """A two-sided test of no difference."""

    __test__ = False  # no test case, whatever pytest makes of the name

    statistic: float
    p_value: float
    df: float
    """Degrees of freedom."""


def seed_difference(differences: Sequence[float], level: float = LEVEL, *, grid: float | None = None) -> Interval:
    """Mean of differences paired by seed: mean ± t(S − 1; (1 + level)/2)·``standard_error``, S seeds.

    ``grid`` is 1/tasks; without it, values that agree have an interval of width 0. Raises ValueError for fewer than
    two seeds, values that are not finite, or a grid outside (0, 1].
    """
    normal_quantile(level)
    mean, error = mean_and_error(checked(differences, grid), grid)
    from scipy.special import stdtrit

    half = float(stdtrit(len(differences) - 1, (1 + level) / 2) * error)
    return Interval(float(mean), float(mean) - half, float(mean) + half, level)


def mean_over_seeds(values: Sequence[float], level: float = LEVEL, *, grid: float | None = None) -> Interval:
    """Mean of shares over seeds: the interval of ``seed_difference``, cut off at 0 and 1.

    Raises ValueError as it does, and for what is no share.
    """
    for value in values:
        if not -SAME <= value <= 1 + SAME:
            raise ValueError(f"a share lies between 0 and 1, not at {value}")
    whole = seed_difference(values, level, grid=grid)
    return Interval(whole.estimate, max(0.0, whole.low), min(1.0, whole.high), level)


def paired_t(differences: Sequence[float], *, grid: float | None = None) -> Test:
    """Whether the mean of differences paired by seed is 0: t = mean/``standard_error``, S − 1 degrees of freedom.

    p < 1 − level exactly where ``seed_difference`` of that level excludes 0. Raises ValueError as it does.
    """
    mean, error = mean_and_error(checked(differences, grid), grid)
    from scipy.special import stdtr

    df = len(differences) - 1
    if error == 0:
        return Test(0.0, 1.0, df) if mean == 0 else Test(math.copysign(math.inf, mean), 0.0, df)
    statistic = float(mean / error)
    return Test(statistic, 2 * float(stdtr(df, -abs(statistic))), df)


def mean_and_error(values_RS: np.ndarray, grid: float | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Mean over the last axis, seeds, and its ``standard_error``; any leading axes."""
    mean_R = values_RS.mean(axis=-1)
    # Of a range within SAME, the variance is an error of arithmetic.
    variance_R = np.where(np.ptp(values_RS, axis=-1) <= SAME, 0.0, values_RS.var(axis=-1, ddof=1))
    return np.where(np.abs(mean_R) <= SAME, 0.0, mean_R), standard_error(variance_R, values_RS.shape[-1], grid)


def standard_error(variance_R: np.ndarray, seeds: int, grid: float | None = None) -> np.ndarray:
    """√((s² + (ROUNDING·grid)²)/S) for the variance s² over S seeds."""
    return np.sqrt((variance_R + (0.0 if grid is None else (ROUNDING * grid) ** 2)) / seeds)


def standard_deviation(differences: Sequence[float], grid: float | None = None) -> float:
    """Standard deviation over seeds, as in ``standard_error``. Raises ValueError as ``seed_difference`` does."""
    return float(mean_and_error(checked(differences, grid), grid)[1]) * math.sqrt(len(differences))


def checked(values: Sequence[float], grid: float | None) -> np.ndarray:
    """One number a seed, shape (S,). Raises ValueError as ``seed_difference`` says."""
    if grid is not None and not 0 < grid <= 1:
        raise ValueError(f"the step between success rates is 1/tasks, not {grid}")
    if len(values) < 2:
        raise ValueError("an interval over seeds needs at least two seeds")
    array = np.asarray(values, dtype=float)
    if array.ndim != 1 or not np.isfinite(array).all():
        raise ValueError("an interval over seeds needs one finite number a seed")
    return array
