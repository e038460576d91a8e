"""Groups that share nothing, against SciPy and statsmodels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep

from sdar_cli.statistics import fisher, share_difference, unpaired_difference, unpaired_t

counts = st.integers(1, 80).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
seeds = st.lists(st.integers(0, 32), min_size=2, max_size=8)


@given(counts, counts)
def test_share_difference_is_statsmodels(first: tuple[int, int], second: tuple[int, int]) -> None:
    ours = share_difference(*first, *second)
    theirs = confint_proportions_2indep(*first, *second, method="newcomb", compare="diff")
    assert (ours.low, ours.high) == pytest.approx(theirs, abs=1e-9)
    swapped = share_difference(*second, *first)
    assert (ours.low, ours.high) == pytest.approx((-swapped.high, -swapped.low), abs=1e-12)
    assert -1 <= ours.low <= ours.estimate <= ours.high <= 1


@given(counts, counts)
@settings(max_examples=60)
def test_fisher_is_scipys(first: tuple[int, int], second: tuple[int, int]) -> None:
    (k1, n1), (k2, n2) = first, second
    expected = stats.fisher_exact([[k1, n1 - k1], [k2, n2 - k2]]).pvalue
    assert fisher(k1, n1, k2, n2) == pytest.approx(expected, rel=1e-6)
    assert fisher(k2, n2, k1, n1) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("arguments", [(4, 3, 1, 3), (1, 3, -1, 3), (0, 0, 1, 3)])
def test_what_is_no_share_is_refused(arguments: tuple[int, int, int, int]) -> None:
    for function in (fisher, share_difference):
        with pytest.raises(ValueError, match="no proportion"):
            function(*arguments)


@given(seeds, seeds)
def test_the_less_certain_of_welch_and_student_counts(first: list[int], second: list[int]) -> None:
    a, b = np.array(first) / 32, np.array(second) / 32
    if len(set(first)) == 1 or len(set(second)) == 1:
        return
    both = [stats.ttest_ind(a, b, equal_var=equal) for equal in (True, False)]
    ours, interval = unpaired_t(a, b), unpaired_difference(a, b)
    assert ours.p_value == pytest.approx(max(test.pvalue for test in both), abs=1e-9)
    limits = [test.confidence_interval(0.95) for test in both]
    assert interval.low == pytest.approx(min(limit.low for limit in limits), abs=1e-9)
    assert interval.high == pytest.approx(max(limit.high for limit in limits), abs=1e-9)
    if len(first) == len(second):
        assert ours.p_value == pytest.approx(both[1].pvalue, abs=1e-9)


@given(seeds, seeds)
def test_unpaired_p_and_interval_agree_and_mirror(first: list[int], second: list[int]) -> None:
    a, b = [k / 32 for k in first], [k / 32 for k in second]
    test, interval = unpaired_t(a, b, grid=1 / 32), unpaired_difference(a, b, grid=1 / 32)
    if min(abs(interval.low), abs(interval.high)) > 1e-9:
        assert (test.p_value < 0.05) == (0.0 not in interval)
    mirrored = unpaired_difference(b, a, grid=1 / 32)
    assert (interval.low, interval.high) == pytest.approx((-mirrored.high, -mirrored.low), abs=1e-12)
    assert interval.low < interval.estimate < interval.high


def test_groups_without_spread() -> None:
    assert unpaired_t([0.5, 0.5], [0.25, 0.25]).p_value == 0.0
    assert unpaired_t([0.5, 0.5], [0.25, 0.25]).statistic == math.inf
    assert unpaired_t([0.5, 0.5], [0.5, 0.5]).p_value == 1.0
    assert unpaired_t([0.5, 0.5], [0.53125, 0.53125], grid=1 / 32).p_value > 0.01
    with pytest.raises(ValueError, match="two seeds"):
        unpaired_t([0.5], [0.5, 0.6])
    with pytest.raises(ValueError, match="confidence level"):
        unpaired_difference([0.5, 0.4], [0.5, 0.6], 0.0)
