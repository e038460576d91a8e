"""REINFORCE: the whole step's mean and deviation as baseline and scale."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from objective_examples import drawn_trajectories, trajectory

from sdar_cli.objectives.registry import OBJECTIVES
from sdar_cli.objectives.reinforce import advantages
from sdar_cli.objectives.settings import Settings


@given(st.integers(0, 10**6))
def test_groups_have_no_part_in_it(seed):
    played = drawn_trajectories(seed)
    returns = np.array([t.reward for t in played])
    a = (returns - returns.mean()) / (returns.std(ddof=1) + 1e-4) if np.ptp(returns) else returns * 0
    for t, got, value in zip(played, advantages(played, Settings()), a, strict=True):
        assert got == pytest.approx([value - fine for fine in t.fines], rel=1e-9, abs=1e-9)


def test_an_easy_tasks_episodes_all_count_as_good():
    easy = [trajectory(0, 10.0, [[]]) for _ in range(2)]
    hard = [trajectory(1, 0.0, [[]]) for _ in range(2)]
    assert [a > 0 for (a,) in advantages(easy + hard, Settings())] == [True, True, False, False]


@pytest.mark.parametrize("count", [1, 4])
def test_returns_that_are_all_alike_teach_nothing(count):
    assert advantages([trajectory(0, 7.0, [[]]) for _ in range(count)], Settings()) == [[0.0]] * count


def test_what_it_needs():
    objective = OBJECTIVES["reinforce"]
    needs = objective.needs(Settings())
    assert (needs.teacher, needs.old, needs.reference) == (False, False, False)
    assert objective.whole_batch and not objective.ratio and not objective.kl_in_reward
    assert [name for name, other in OBJECTIVES.items() if other.whole_batch] == ["reinforce"]
