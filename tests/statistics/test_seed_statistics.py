"""Student's t over seeds: SciPy's without a grid, and what rounding to one adds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sdar_cli.statistics import mean_over_seeds, paired_t, seed_difference
from sdar_cli.statistics.seeds import ROUNDING, mean_and_error

GRIDS = st.sampled_from([1 / 32, 1 / 64, 1 / 100, 1 / 128, 1 / 500])
steps = st.lists(st.integers(-40, 40), min_size=2, max_size=10)
levels = st.floats(0.5, 0.999)


def differing(values: list[int]) -> bool:
    return len(set(values)) > 1


@given(steps.filter(differing), GRIDS, levels)
def test_without_a_grid_it_is_scipys_interval_and_p_value(values: list[int], grid: float, level: float) -> None:
    differences = [value * grid for value in values]
    theirs = stats.ttest_1samp(differences, 0.0)
    expected = theirs.confidence_interval(level)
    ours, test = seed_difference(differences, level), paired_t(differences)
    assert (ours.low, ours.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert test.p_value == pytest.approx(theirs.pvalue, abs=1e-9)
    assert test.df == len(values) - 1


@given(steps, steps, GRIDS)
def test_paired_t_is_scipys_on_both_sides(first: list[int], second: list[int], grid: float) -> None:
    pairs = list(zip(first, second, strict=False))
    if not differing([a - b for a, b in pairs]):
        return
    theirs = stats.ttest_rel([a * grid for a, _ in pairs], [b * grid for _, b in pairs])
    ours = paired_t([(a - b) * grid for a, b in pairs])
    assert (ours.statistic, ours.p_value) == pytest.approx((theirs.statistic, theirs.pvalue), rel=1e-6, abs=1e-12)


@given(steps, GRIDS, levels)
def test_a_grid_adds_a_sixth_of_a_step_to_the_spread(values: list[int], grid: float, level: float) -> None:
    differences = [value * grid for value in values]
    ours, plain = seed_difference(differences, level, grid=grid), seed_difference(differences, level)
    assert ours.estimate == plain.estimate
    error = math.sqrt((np.var(values, ddof=1) + 1 / 36) / len(values)) * grid
    assert ours.high - ours.estimate == pytest.approx(stats.t.ppf((1 + level) / 2, len(values) - 1) * error)
    assert paired_t(differences, grid=grid).p_value >= paired_t(differences).p_value


@given(steps, GRIDS)
def test_p_is_under_5_percent_exactly_where_the_interval_excludes_0(values: list[int], grid: float) -> None:
    differences = [value * grid for value in values]
    ours = seed_difference(differences, grid=grid)
    if min(abs(ours.low), abs(ours.high)) > 1e-9:
        assert (paired_t(differences, grid=grid).p_value < 0.05) == (0.0 not in ours)


@given(steps, GRIDS, st.randoms())
def test_swapping_mirrors_and_order_does_not_matter(values: list[int], grid: float, random) -> None:
    differences = [value * grid for value in values]
    ours, test = seed_difference(differences, grid=grid), paired_t(differences, grid=grid)
    swapped, mirrored = (
        seed_difference([-d for d in differences], grid=grid),
        paired_t([-d for d in differences], grid=grid),
    )
    assert (ours.low, ours.high) == pytest.approx((-swapped.high, -swapped.low), abs=1e-12)
    assert (test.statistic, test.p_value) == pytest.approx((-mirrored.statistic, mirrored.p_value), rel=1e-9)
    random.shuffle(differences)
    shuffled = seed_difference(differences, grid=grid)
    assert (ours.low, ours.high) == pytest.approx((shuffled.low, shuffled.high), abs=1e-12)


@given(steps, GRIDS, levels, levels)
def test_a_higher_level_is_wider(values: list[int], grid: float, one: float, other: float) -> None:
    low, high = sorted([one, other])
    inner, outer = (seed_difference([v * grid for v in values], level, grid=grid) for level in (low, high))
    assert outer.low <= inner.low <= inner.estimate <= inner.high <= outer.high


@pytest.mark.parametrize("tasks", [32, 100, 500])
def test_two_seeds_that_agree_leave_room_for_one_step_and_a_half(tasks: int) -> None:
    # 0.57 − 0.55 and 0.32 − 0.30 agree, but for floating point.
    agreeing = [0.57 - 0.55, 0.32 - 0.30]
    ours = seed_difference(agreeing, grid=1 / tasks)
    assert (ours.high - ours.low) * tasks / 2 == pytest.approx(1.4974, abs=1e-3)
    one, two = (paired_t([steps / tasks] * 2, grid=1 / tasks).p_value for steps in (1, 2))
    assert two < 0.05 < one
    assert paired_t([0.0, 0.0], grid=1 / tasks).p_value == 1.0


def test_without_a_grid_seeds_that_agree_are_exact() -> None:
    assert seed_difference([0.25, 0.25]).low == seed_difference([0.25, 0.25]).high == 0.25
    test = paired_t([-0.25, -0.25])
    assert (test.statistic, test.p_value) == (-math.inf, 0.0)
    test = paired_t([0.0, 0.0, 0.0])
    assert (test.statistic, test.p_value, test.df) == (0.0, 1.0, 2)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=12), st.one_of(st.none(), GRIDS))
def test_a_mean_of_shares_stays_among_shares(values: list[float], grid: float | None) -> None:
    ours = mean_over_seeds(values, grid=grid)
    assert 0 <= ours.low <= ours.estimate + 1e-12 and ours.estimate - 1e-12 <= ours.high <= 1
    whole = seed_difference(values, grid=grid)
    assert ours.low == max(0.0, whole.low) and ours.high == min(1.0, whole.high)


def test_rows_at_once_are_rows_one_by_one() -> None:
    values_RS = np.random.default_rng(0).integers(-2, 3, (50, 3)) / 32
    means, errors = mean_and_error(values_RS, 1 / 32)
    for values, mean, error in zip(values_RS, means, errors, strict=True):
        assert mean == pytest.approx(values.mean(), abs=1e-12)
        assert error == pytest.approx(math.sqrt((values.var(ddof=1) + (ROUNDING / 32) ** 2) / 3))
        assert seed_difference(values, grid=1 / 32).high == pytest.approx(mean + stats.t.ppf(0.975, 2) * error)


@pytest.mark.parametrize(
    ("values", "grid", "said"),
    [
        ([0.4], None, "two seeds"),
        ([], None, "two seeds"),
        ([0.4, math.nan], None, "one finite number a seed"),
        ([0.4, math.inf], 0.1, "one finite number a seed"),
        ([[0.4, 0.5], [0.1, 0.2]], 0.1, "one finite number a seed"),
        ([0.4, 0.5], 0.0, "1/tasks, not 0.0"),
        ([0.4, 0.5], -0.1, "1/tasks, not -0.1"),
        ([0.4, 0.5], 32, "1/tasks, not 32"),
        ([0.4, 0.5], math.nan, "1/tasks, not nan"),
    ],
)
def test_what_is_no_sample_of_seeds_is_one_sentence(values: list, grid: float | None, said: str) -> None:
    for function in (seed_difference, paired_t):
        with pytest.raises(ValueError, match=said) as caught:
            function(values, grid=grid)
        assert "\n" not in str(caught.value)


def test_levels_and_shares_are_checked() -> None:
    with pytest.raises(ValueError, match="confidence level"):
        seed_difference([0.1, 0.2], 95.0)
    with pytest.raises(ValueError, match=r"a share lies between 0 and 1, not at 1\.5"):
        mean_over_seeds([0.5, 1.5])
