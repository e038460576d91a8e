"""Intervals and tests against published values, SciPy, statsmodels, brute force and simulated coverage."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.proportion import proportion_confint

from sdar_cli.statistics import (
    PairCounts,
    episodes_for,
    episodes_needed,
    internalised_fraction,
    mcnemar,
    paired_difference,
    paired_difference_from_counts,
    ratio_bootstrap,
    wilson,
)

pairs = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=200)
levels = st.floats(0.5, 0.999)


def rows(both: int, only_first: int, only_second: int, neither: int) -> tuple[list[bool], list[bool]]:
    table = [(True, True)] * both + [(True, False)] * only_first
    table += [(False, True)] * only_second + [(False, False)] * neither
    return [a for a, _ in table], [b for _, b in table]


@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (0, 50), (50, 50), (17, 128), (126, 128), (1, 3)])
@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_wilson_is_scipys(k: int, n: int, level: float) -> None:
    expected = stats.binomtest(k, n).proportion_ci(level, method="wilson")
    ours = wilson(k, n, level)
    assert (ours.low, ours.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert ours.estimate == k / n
    assert (ours.low, ours.high) == pytest.approx(proportion_confint(k, n, 1 - level, method="wilson"), abs=1e-12)


@given(st.integers(1, 10**6), st.data(), levels)
def test_wilson_holds_the_estimate_and_mirrors(n: int, data: st.DataObject, level: float) -> None:
    k = data.draw(st.integers(0, n))
    ours, mirrored = wilson(k, n, level), wilson(n - k, n, level)
    assert 0 <= ours.low <= ours.estimate <= ours.high <= 1
    assert (ours.low, ours.high) == pytest.approx((1 - mirrored.high, 1 - mirrored.low), abs=1e-9)


@pytest.mark.parametrize(("k", "n"), [(-1, 3), (4, 3), (0, 0)])
def test_wilson_refuses_what_is_no_proportion(k: int, n: int) -> None:
    with pytest.raises(ValueError, match="no proportion"):
        wilson(k, n)


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [
        # Fagerland, Lydersen and Laake (2014), airway hyper-responsiveness: square-and-add interval.
        (PairCounts(1, 1, 7, 12), -0.507, -0.026),
        # The worked example of method 10, by Newcombe and Altman.
        (PairCounts(12, 9, 2, 21), 0.0112, 0.2954),
    ],
)
def test_paired_difference_gives_the_published_limits(counts: PairCounts, low: float, high: float) -> None:
    ours = paired_difference_from_counts(counts)
    assert (ours.low, ours.high) == pytest.approx((low, high), abs=5e-4)


@given(pairs, levels)
def test_paired_difference_is_bounded_antisymmetric_and_blind_to_order(
    table: list[tuple[bool, bool]], level: float
) -> None:
    first, second = [a for a, _ in table], [b for _, b in table]
    ours = paired_difference(first, second, level)
    swapped = paired_difference(second, first, level)
    backwards = paired_difference(first[::-1], second[::-1], level)
    assert -1 <= ours.low <= ours.estimate <= ours.high <= 1
    assert (ours.low, ours.high) == pytest.approx((-swapped.high, -swapped.low), abs=1e-12)
    assert ours == backwards
    assert ours.estimate == pytest.approx((sum(first) - sum(second)) / len(table))


@pytest.mark.parametrize(
    ("p_both", "p_first", "p_second", "n"),
    [(0.1, 0.5, 0.05, 128), (0.6, 0.05, 0.05, 128), (0.1, 0.85, 0.01, 128), (0.3, 0.2, 0.1, 64)],
)
def test_paired_difference_covers_as_often_as_it_says(p_both: float, p_first: float, p_second: float, n: int) -> None:
    generator = np.random.default_rng(7)
    draws = generator.multinomial(n, [p_both, p_first, p_second, 1 - p_both - p_first - p_second], size=4000)
    truth = p_first - p_second
    covered = np.mean([truth in paired_difference_from_counts(PairCounts(*map(int, row))) for row in draws])
    # Four standard errors of the simulation are 0.014.
    assert 0.935 <= covered <= 0.985


def test_mcnemar_is_the_exact_binomial_test() -> None:
    for only_first, only_second in itertools.product(range(12), repeat=2):
        p = mcnemar(*rows(3, only_first, only_second, 4))
        n = only_first + only_second
        expected = stats.binomtest(only_first, n).pvalue if n else 1.0
        assert p == pytest.approx(expected, rel=1e-9)
        assert p == pytest.approx(statsmodels_mcnemar([[3, only_first], [only_second, 4]], exact=True).pvalue)


def test_mcnemar_bears_thousands_of_pairs() -> None:
    assert mcnemar(*rows(0, 5000, 0, 0)) == pytest.approx(0.0, abs=1e-300)
    assert mcnemar(*rows(0, 3000, 3000, 0)) == 1.0


@given(pairs)
def test_mcnemar_forgets_names_and_order(table: list[tuple[bool, bool]]) -> None:
    first, second = [a for a, _ in table], [b for _, b in table]
    p = mcnemar(first, second)
    assert 0 < p <= 1
    assert p == mcnemar(second, first) == mcnemar(first[::-1], second[::-1])
    assert p == mcnemar([*first, True, False], [*second, True, False]), "pairs that agree say nothing"
    assert p == mcnemar([not a for a in first], [not b for b in second])


@given(st.integers(0, 200), st.integers(0, 200))
def test_mcnemar_is_surer_of_more(only_first: int, only_second: int) -> None:
    more, less = max(only_first, only_second), min(only_first, only_second)
    p = mcnemar(*rows(1, more, less, 1))
    assert mcnemar(*rows(1, more + 1, less, 1)) <= p <= mcnemar(*rows(1, more, less + 1, 1)) or less + 1 > more


def test_episodes_needed_reaches_its_power() -> None:
    counts = (30, 20, 6, 44)
    n = episodes_needed(*rows(*counts))
    assert n is not None
    draws = np.random.default_rng(3).multinomial(n, np.array(counts) / 100, size=2000)
    seen = np.mean([mcnemar(*rows(*row)) < 0.05 for row in draws])
    assert 0.72 <= seen <= 0.85
    assert episodes_needed(*rows(5, 3, 3, 5)) is None
    assert episodes_for(0.14, 0.26) == n


def test_episodes_needed_falls_with_the_gap_and_grows_with_power() -> None:
    needed = [episodes_for(gap, 0.3) for gap in (0.02, 0.05, 0.1, 0.2, 0.3)]
    assert needed == sorted(needed, reverse=True) and len(set(needed)) == 5
    powers = [episodes_for(0.1, 0.3, power=power) for power in (0.5, 0.8, 0.9, 0.99)]
    assert powers == sorted(powers)
    # Connor's formula, term by term.
    z, w = stats.norm.ppf(0.975), stats.norm.ppf(0.8)
    assert episodes_for(-0.1, 0.3) == math.ceil((z * 0.3**0.5 + w * (0.3 - 0.01) ** 0.5) ** 2 / 0.01)


@pytest.mark.parametrize(("gap", "share", "power"), [(0.3, 0.2, 0.8), (0.1, 1.1, 0.8), (0.1, 0.3, 1.0), (0.1, 0.3, 0)])
def test_episodes_needed_refuses_what_cannot_be(gap: float, share: float, power: float) -> None:
    with pytest.raises(ValueError, match=r"^(no pairs: |a power lies )"):
        episodes_for(gap, share, power=power)


def test_pairing_refuses_unequal_or_empty_rows() -> None:
    with pytest.raises(ValueError, match="cannot pair"):
        paired_difference([True], [True, False])
    with pytest.raises(ValueError, match="cannot pair"):
        mcnemar([], [])


def test_internalised_fraction_of_known_shares() -> None:
    base_without, base_with = [False] * 90 + [True] * 10, [True] * 100
    for solved, expected in [(10, 0.0), (55, 0.5), (100, 1.0)]:
        fraction = internalised_fraction([False] * (100 - solved) + [True] * solved, base_without, base_with)
        assert fraction is not None
        assert fraction.estimate == pytest.approx(expected)
        assert fraction.low <= expected <= fraction.high


def test_internalised_fraction_is_undefined_without_a_gain_from_skills() -> None:
    some, all_ = [True, False] * 32, [True] * 64
    assert internalised_fraction(all_, some, some) is None
    assert internalised_fraction(some, all_, some) is None, "skills that harm the base are no denominator"
    assert internalised_fraction(some, [*some[:-1], False], [*some[:-1], True]) is None


def test_internalised_fraction_repeats_by_seed() -> None:
    generator = np.random.default_rng(0)
    trained, base, skilled = (generator.random(64) < p for p in (0.6, 0.1, 0.95))
    first = internalised_fraction(trained, base, skilled, seed=1)
    assert first == internalised_fraction(trained, base, skilled, seed=1)
    assert first != internalised_fraction(trained, base, skilled, seed=2)


def test_ratio_bootstrap_covers_as_often_as_it_says() -> None:
    generator = np.random.default_rng(11)
    truth, hits, runs = (0.6 - 0.15) / (0.95 - 0.15), 0, 400
    for _ in range(runs):
        trained, base, skilled = (generator.random(128) < p for p in (0.6, 0.15, 0.95))
        interval = internalised_fraction(trained, base, skilled, resamples=1000)
        assert interval is not None
        hits += truth in interval
    assert 0.91 <= hits / runs <= 0.985


def test_ratio_bootstrap_matches_brute_force_on_three_tasks() -> None:
    top, bottom = [1.0, 0.0, 2.0], [2.0, 1.0, 3.0]
    every = sorted(
        sum(top[i] for i in draw) / sum(bottom[i] for i in draw) for draw in itertools.product(range(3), repeat=3)
    )
    ours = ratio_bootstrap(top, bottom, level=0.8, resamples=50_000)
    assert ours is not None
    assert ours.estimate == 0.5
    expected = np.quantile(every, [0.1, 0.9], method="inverted_cdf")
    assert (ours.low, ours.high) == pytest.approx(tuple(expected))


def test_clusters_are_drawn_whole_and_widen_the_interval() -> None:
    generator = np.random.default_rng(5)
    shared = np.repeat(generator.random(20) < 0.5, 10).astype(float)
    alone = ratio_bootstrap(shared, np.ones(200))
    grouped = ratio_bootstrap(shared, np.ones(200), clusters=list(np.repeat(np.arange(20), 10)))
    assert alone is not None and grouped is not None
    assert alone.estimate == grouped.estimate
    # Ten copies of a value hold the information of one: √10 times as wide.
    widening = (grouped.high - grouped.low) / (alone.high - alone.low)
    assert widening == pytest.approx(math.sqrt(10), rel=0.2)
    with pytest.raises(ValueError, match="cluster labels"):
        ratio_bootstrap([1.0, 2.0], [1.0, 1.0], clusters=["a"])


def test_a_denominator_that_may_vanish_has_no_interval() -> None:
    assert ratio_bootstrap([1.0, 1.0], [1.0, -1.0]) is None
    assert ratio_bootstrap([1.0, 1.0, 1.0], [1.0, 0.0, 0.0]) is None


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0, -0.1])
def test_a_level_is_a_share(level: float) -> None:
    with pytest.raises(ValueError, match="confidence level"):
        wilson(1, 2, level)
