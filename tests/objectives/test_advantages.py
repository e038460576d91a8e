"""Group statistics against NumPy's, the fines, and where groups carry no signal."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from objective_examples import drawn_trajectories, trajectory

from sdar_cli.objectives.advantages import EPSILON, group_advantages, group_baseline, turn_advantages
from sdar_cli.objectives.registry import OBJECTIVES
from sdar_cli.objectives.settings import Settings

ONE = [(-1.0, -1.0, -1.0)]
"""A turn of one token."""


def test_epsilon_is_the_papers():
    assert EPSILON == 1e-4


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=16))
def test_group_advantages_are_standardised_returns(returns):
    got = np.array(group_advantages(returns))
    if len(set(returns)) == 1:
        assert (got == 0).all()
    else:
        values = np.array(returns)
        expected = (values - values.mean()) / (values.std(ddof=1) + EPSILON)
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6)
        assert abs(got.sum()) < 1e-6 * len(got)


@pytest.mark.parametrize("returns", [[], [3.0], [1.0] * 8, [0.1] * 3])
def test_no_variance_is_no_signal(returns):
    assert group_advantages(returns) == [0.0] * len(returns)


def test_turn_statistics_weigh_long_episodes_more():
    """One win of one turn against one loss of three: over turns the mean is 0.25, not 0.5."""
    win, loss = turn_advantages([[1.0], [0.0, 0.0, 0.0]])
    values = np.array([1.0, 0.0, 0.0, 0.0])
    expected = (values - values.mean()) / (values.std(ddof=1) + EPSILON)
    np.testing.assert_allclose([*win, *loss], expected, rtol=1e-9)


def test_turn_statistics_of_a_single_turn_keep_the_score():
    assert turn_advantages([[10.0]]) == [[10.0]]


def test_turn_statistics_without_variance():
    assert turn_advantages([[1.0, 1.0], [1.0]]) == [[0.0, 0.0], [0.0]]


@given(st.integers(0, 10**6), st.sampled_from(["trajectory", "turn"]))
def test_the_baseline_is_each_groups_own_and_fines_come_off_their_own_turn(seed, statistics):
    played = drawn_trajectories(seed)
    got = group_baseline(played, Settings(statistics=statistics))
    for group in {t.group for t in played}:
        members = [i for i, t in enumerate(played) if t.group == group]
        if statistics == "turn":
            scores = np.array([played[i].reward - fine for i in members for fine in played[i].fines])
        else:
            scores = np.array([played[i].reward for i in members])
        if len(scores) > 1:
            scores = (scores - scores.mean()) / (scores.std(ddof=1) + EPSILON) if np.ptp(scores) else scores * 0
        elif statistics == "trajectory":
            scores = scores * 0
        own = iter(scores)
        for i in members:
            fines = played[i].fines
            if statistics == "turn":
                expected = [next(own) for _ in fines]
            else:
                shared = next(own)
                expected = [shared - fine for fine in fines]
            assert got[i] == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_a_group_of_equal_rewards_teaches_nothing_but_its_fines():
    played = [trajectory(0, 1.0, [ONE, ONE], fines=[0.0, 0.1]), trajectory(0, 1.0, [ONE], fines=[0.0])]
    assert group_baseline(played, Settings()) == [[0.0, -0.1], [0.0]]


def test_no_trajectory_at_all():
    for name, objective in OBJECTIVES.items():
        assert objective.advantages([], Settings()) == [], name
