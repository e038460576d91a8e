"""Group statistics against numpy's, and where groups carry no signal."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdar_cli.objectives.advantages import EPSILON, group_advantages, turn_advantages


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


@pytest.mark.parametrize("returns", [[], [3.0], [1.0] * 8])
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
