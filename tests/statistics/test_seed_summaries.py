"""Holm, interquartile mean, probability of improvement, effect sizes, seeds needed: as SciPy and statsmodels say."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.proportion import proportion_effectsize

from sdar_cli.statistics import (
    cohens_dz,
    cohens_h,
    detectable,
    holm,
    iqm,
    paired_t,
    probability_of_improvement,
    seeds_for,
    seeds_needed,
)

p_values = st.lists(st.floats(0, 1), min_size=1, max_size=30)
shares = st.lists(st.integers(0, 32).map(lambda k: k / 32), min_size=1, max_size=12)


@pytest.mark.parametrize("size", [1, 2, 5, 40])
def test_holm_is_statsmodels(size: int) -> None:
    values = list(np.random.default_rng(size).choice([0.0, 0.001, 0.01, 0.02, 0.04, 0.2, 1.0], size))
    assert holm(values) == pytest.approx(multipletests(values, method="holm")[1], abs=1e-12)


@given(p_values, st.randoms())
def test_holm_rejects_step_by_step_and_follows_its_p_values(values: list[float], random) -> None:
    adjusted = holm(values)
    assert all(1 >= after >= before for before, after in zip(values, adjusted, strict=True))
    # As it was published: the least p-value against level/m, the next against level/(m − 1), until one fails.
    rejected = 0
    for value in sorted(values):
        if value * (len(values) - rejected) >= 0.05:
            break
        rejected += 1
    assert sum(p < 0.05 for p in adjusted) == rejected
    order = list(range(len(values)))
    random.shuffle(order)
    assert holm([values[i] for i in order]) == [adjusted[i] for i in order]


def test_holm_of_one_and_of_none() -> None:
    assert holm([0.03]) == [0.03]
    assert holm([]) == []
    for wild in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="p-value lies between 0 and 1, not at"):
            holm([0.5, wild])


@given(shares, st.randoms())
def test_iqm_is_scipys_trimmed_mean(values: list[float], random) -> None:
    assert iqm(values) == pytest.approx(stats.trim_mean(values, 0.25))
    assert min(values) <= iqm(values) + 1e-12 and iqm(values) - 1e-12 <= max(values)
    shuffled = values.copy()
    random.shuffle(shuffled)
    assert iqm(shuffled) == iqm(values)


@given(shares, shares)
def test_probability_of_improvement_is_mann_whitneys(first: list[float], second: list[float]) -> None:
    ours = probability_of_improvement(first, second)
    assert ours == pytest.approx(stats.mannwhitneyu(first, second).statistic / (len(first) * len(second)))
    assert ours + probability_of_improvement(second, first) == pytest.approx(1.0)
    pairs = [(a > b) + (a == b) / 2 for a, b in itertools.product(first, second)]
    assert ours == pytest.approx(sum(pairs) / len(pairs))
    better = [value + 1 / 64 for value in first]
    assert probability_of_improvement(better, second) >= ours


@pytest.mark.parametrize("wild", [[], [0.5, math.nan], [math.inf], [[0.5, 0.5]]])
def test_summaries_refuse_what_holds_no_numbers(wild: list) -> None:
    with pytest.raises(ValueError, match="one finite number a seed"):
        iqm(wild)
    with pytest.raises(ValueError, match="one finite number a seed"):
        probability_of_improvement([0.5], wild)


@given(st.floats(0, 1), st.floats(0, 1))
def test_cohens_h_is_statsmodels(p1: float, p2: float) -> None:
    assert cohens_h(p1, p2) == pytest.approx(proportion_effectsize(p1, p2), abs=1e-12)
    assert cohens_h(p1, p2) == -cohens_h(p2, p1)


def test_effects_of_wild_input() -> None:
    assert cohens_h(1, 0) == pytest.approx(math.pi)
    for wild in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="share lies between 0 and 1, not at"):
            cohens_h(0.5, wild)
    assert cohens_dz([0.1]) is None
    assert cohens_dz([0.57 - 0.55, 0.32 - 0.30]) is None, "they agree but for floating point"
    with pytest.raises(ValueError, match="finite"):
        cohens_dz([0.1, math.nan])


@given(st.lists(st.integers(-32, 32), min_size=2, max_size=10).filter(lambda v: len(set(v)) > 1))
def test_cohens_dz_is_t_over_root_n(steps: list[int]) -> None:
    differences = [step / 32 for step in steps]
    t = paired_t(differences).statistic
    assert cohens_dz(differences) == pytest.approx(t / math.sqrt(len(steps)), abs=1e-9)


@pytest.mark.parametrize("spread", [0.02, 0.05, 0.1])
@pytest.mark.parametrize("gap", [0.03, 0.05, 0.1])
@pytest.mark.parametrize("power", [0.8, 0.9])
def test_seeds_needed_is_the_least_number_with_the_power(spread: float, gap: float, power: float) -> None:
    needed = seeds_for(gap, spread, power=power)
    assert needed is not None and needed >= 2

    def reached(seeds: int) -> float:
        return TTestPower().power(gap / spread, seeds, 0.05)

    # statsmodels counts the far tail too, a little at two seeds.
    assert reached(needed) >= power - 1e-4
    assert needed == 2 or reached(needed - 1) < power + 1e-4
    assert detectable(spread, needed, power=power) <= gap
    assert seeds_for(-gap, spread, power=power) == needed


def test_seeds_needed_of_differences_seen() -> None:
    differences = [0.125, 0.25, 0.0625]
    assert seeds_needed(differences) == seeds_for(float(np.mean(differences)), float(np.std(differences, ddof=1)))
    assert seeds_needed([0.1, -0.1]) is None, "no difference was seen"
    assert seeds_needed([0.0, 0.0], grid=1 / 32) is None
    assert seeds_needed([1e-6, -2e-6, 1.0000000e-6 + 1e-5, 1.0, -1.0]) is None, "more seeds than anybody trains"
    # A step that agrees in two seeds is not taken for exact.
    assert seeds_needed([1 / 32, 1 / 32]) == 2
    more = seeds_needed([1 / 32, 1 / 32], grid=1 / 32)
    assert more is not None and more > 2


def test_seeds_needed_finds_the_difference_that_often() -> None:
    seeds = seeds_for(0.05, 0.05)
    assert seeds is not None
    draws = np.random.default_rng(1).normal(0.05, 0.05, (2000, seeds))
    found = np.mean([paired_t(row).p_value < 0.05 for row in draws])
    # Four standard errors of the simulation are 0.036; the next smaller number of seeds has a power under 0.8.
    assert 0.77 <= found <= 0.9


@pytest.mark.parametrize("power", [0.0, 0.05, 1.0, 80.0, math.nan])
def test_a_power_is_a_share(power: float) -> None:
    for call in (lambda: seeds_needed([0.1, 0.2], power=power), lambda: detectable(0.1, 3, power=power)):
        with pytest.raises(ValueError, match="a power lies between"):
            call()
    with pytest.raises(ValueError, match="two seeds"):
        detectable(0.1, 1)
    with pytest.raises(ValueError, match="two seeds"):
        seeds_needed([0.1])
