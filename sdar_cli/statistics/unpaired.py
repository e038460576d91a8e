"""Two groups that share neither tasks nor seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sdar_cli.statistics.interval import LEVEL, Interval, normal_quantile
from sdar_cli.statistics.proportion import wilson
from sdar_cli.statistics.seeds import Test, checked, mean_and_error


def share_difference(k1: int, n1: int, k2: int, n2: int, level: float = LEVEL) -> Interval:
    """Difference of independent proportions, k1/n1 − k2/n2: hybrid score interval.

    Method 10 of Newcombe (1998, Statistics in Medicine 17:873): the Wilson limits of each, squared and added. Raises
    ValueError as ``wilson`` does.
    """
    a, b = wilson(k1, n1, level), wilson(k2, n2, level)
    difference = a.estimate - b.estimate
    low = difference - math.hypot(a.estimate - a.low, b.high - b.estimate)
    high = difference + math.hypot(a.high - a.estimate, b.estimate - b.low)
    return Interval(difference, max(-1.0, low), min(1.0, high), level)


def fisher(k1: int, n1: int, k2: int, n2: int) -> float:
    """Exact two-sided p-value that both groups succeed equally often (Fisher 1935, J. R. Stat. Soc. 98:39).

    The probability, given all four margins, of every table that is no more probable than the one seen. Raises
    ValueError as ``wilson`` does.
    """
    for k, n in ((k1, n1), (k2, n2)):
        if not 0 <= k <= n or n < 1:
            raise ValueError(f"no proportion: {k} successes in {n} trials")
    from scipy.special import gammaln

    solved, total = k1 + k2, n1 + n2
    x = np.arange(max(0, solved - n2), min(solved, n1) + 1)

    def log_choose(n: int, k: np.ndarray | int) -> np.ndarray:
        return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)

    logs = log_choose(n1, x) + log_choose(n2, solved - x) - log_choose(total, solved)
    # Equal probabilities may differ in their last digits.
    return min(1.0, float(np.exp(logs[logs <= logs[k1 - x[0]] + 1e-7]).sum()))


def unpaired_difference(
    first: Sequence[float], second: Sequence[float], level: float = LEVEL, *, grid: float | None = None
) -> Interval:
    """Difference of two means over seeds, first − second, of different seeds: the interval of ``unpaired_t``.

    Raises ValueError as ``seed_difference`` does, of either group.
    """
    normal_quantile(level)
    difference, forms = two_forms(checked(first, grid), checked(second, grid), grid)
    from scipy.special import stdtrit

    half = max(float(stdtrit(df, (1 + level) / 2) * error) for error, df in forms)
    return Interval(float(difference), float(difference) - half, float(difference) + half, level)


def unpaired_t(first: Sequence[float], second: Sequence[float], *, grid: float | None = None) -> Test:
    """Whether two means over different seeds are equal: of two t-tests, the one with the larger p-value.

    They are Welch's (1947, Biometrika 34:28) and Student's with the pooled variance (1908). For groups of one size that
    is Welch's. For others either alone errs more often than it says: Welch's where one group has two or three seeds,
    the pooled one where the smaller group varies more. ``grid`` as for
    ``seed_difference``, and ValueErrors too.
    """
    difference, forms = two_forms(checked(first, grid), checked(second, grid), grid)
    from scipy.special import stdtr

    tests = []
    for error, df in forms:
        if error == 0:
            p_value = 1.0 if difference == 0 else 0.0
            tests.append(Test(0.0 if difference == 0 else math.copysign(math.inf, difference), p_value, float(df)))
        else:
            statistic = float(difference / error)
            tests.append(Test(statistic, 2 * float(stdtr(df, -abs(statistic))), float(df)))
    return max(tests, key=lambda test: test.p_value)


def two_forms(
    first_RS: np.ndarray, second_RT: np.ndarray, grid: float | None = None
) -> tuple[np.ndarray, tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]]:
    """The difference of means over the last axes, and (standard error, degrees of freedom) by Welch and pooled."""
    (mean1, error1), (mean2, error2) = mean_and_error(first_RS, grid), mean_and_error(second_RT, grid)
    n1, n2 = first_RS.shape[-1], second_RT.shape[-1]
    a, b = error1**2, error2**2
    bottom = a * a / (n1 - 1) + b * b / (n2 - 1)
    df = np.where(bottom > 0, (a + b) ** 2 / np.where(bottom > 0, bottom, 1.0), n1 + n2 - 2.0)
    pooled = ((n1 - 1) * n1 * a + (n2 - 1) * n2 * b) / (n1 + n2 - 2)
    both = np.sqrt(pooled * (1 / n1 + 1 / n2)), np.full(np.shape(df), n1 + n2 - 2.0)
    return mean1 - mean2, ((np.sqrt(a + b), df), both)
