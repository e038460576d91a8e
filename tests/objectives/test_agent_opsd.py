"""AgentOPSD: turn-level credit, against the formulas of the paper in Python's floats."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from objective_examples import WILD_LOGP, drawn_trajectories, logistic, trajectory

from sdar_cli.objectives.advantages import group_baseline
from sdar_cli.objectives.agent_opsd import advantages
from sdar_cli.objectives.registry import OBJECTIVES
from sdar_cli.objectives.settings import Settings


def reference(played, mu, b, gamma) -> list[list[float]]:
    out = [None] * len(played)
    for group in {t.group for t in played}:
        members = [i for i, t in enumerate(played) if t.group == group]
        size = len(members)
        returns = np.array([played[i].reward for i in members])
        a = (returns - returns.mean()) / (returns.std(ddof=1) + 1e-4) if size > 1 and np.ptp(returns) else returns * 0
        b0 = np.clip(np.mean([played[i].won for i in members]), 1 / (2 * size), 1 - 1 / (2 * size))
        q = []
        for i, advantage in zip(members, a, strict=True):
            c, before = 0.0, b0
            for old, teacher in zip(played[i].old, played[i].teacher, strict=True):
                c = gamma * c + sum(t - s for s, t in zip(old.tolist(), teacher.tolist(), strict=True))
                belief = logistic(math.log(b0 / (1 - b0)) + c)
                q.append(np.sign(advantage) * (belief - before))
                before = belief
        z = (np.array(q) - np.mean(q)) / np.std(q) if np.std(q) > 1e-12 else np.zeros(len(q))
        z = iter(z)
        for i, advantage in zip(members, a, strict=True):
            out[i] = [
                advantage * ((1 - mu) + mu * np.clip(1 + b * next(z), 1 - b, 1 + b)) - fine for fine in played[i].fines
            ]
    return out


@given(
    st.integers(0, 10**6), st.sampled_from([0.5, 1.0, 0.1]), st.sampled_from([0.2, 0.9]), st.sampled_from([0.95, 0.3])
)
@settings(deadline=None)
def test_advantages_are_the_formulas(seed, mu, b, gamma):
    played = drawn_trajectories(seed)
    got = advantages(played, Settings(mu=mu, weight_clip=b, gamma=gamma))
    for mine, expected in zip(got, reference(played, mu, b, gamma), strict=True):
        assert mine == pytest.approx(expected, rel=1e-7, abs=1e-9)


@given(st.integers(0, 10**6))
def test_mu_zero_is_grpo_bit_for_bit(seed):
    played = drawn_trajectories(seed)
    assert advantages(played, Settings(mu=0.0)) == group_baseline(played, Settings(mu=0.0))


def test_the_turn_that_moved_the_belief_gets_the_credit():
    """A win whose second turn the teacher endorses: more than its share there, less at the first."""
    doubtful, endorsed = [(-1.0, -1.2, 0.0)], [(-3.0, -1.0, 0.0)]
    first, second = advantages(
        [trajectory(0, 1.0, [doubtful, endorsed]), trajectory(0, 0.0, [doubtful])], Settings(mu=0.5)
    )[0]
    plain = 0.5 / (0.5**0.5 + 1e-4)
    assert first < plain < second


@pytest.mark.parametrize(("wins", "expected"), [(0, 1 / 8), (2, 0.5), (4, 7 / 8)])
def test_the_belief_starts_at_the_success_rate_kept_off_its_ends(wins, expected):
    """With one turn and no evidence it does not move; with much evidence it moves from there to 1."""
    from sdar_cli.objectives.agent_opsd import belief_moves, clamped_rate

    assert clamped_rate(wins, 4) == expected
    (move,) = belief_moves(trajectory(0, 1.0, [[(-1e4, 0.0, 0.0)]]), expected, Settings())
    assert move == pytest.approx(1 - expected)
    (still,) = belief_moves(trajectory(0, 1.0, [[]]), expected, Settings())
    assert still == pytest.approx(0.0, abs=1e-15)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.floats(-100, 100),
            st.booleans(),
            st.lists(st.lists(st.tuples(WILD_LOGP, WILD_LOGP, WILD_LOGP), max_size=3), min_size=1, max_size=4),
        ),
        min_size=1,
        max_size=6,
    ),
    st.floats(0, 1),
)
@settings(max_examples=200, deadline=None)
def test_wild_inputs_move_an_advantage_by_a_share_of_itself_at_most(drawn, mu):
    """−inf log-probs, empty turns, equal rewards, groups of one."""
    played = [trajectory(group, reward, turns, won=won) for group, reward, won, turns in drawn]
    plain = group_baseline(played, Settings())
    for mine, base in zip(advantages(played, Settings(mu=mu, weight_clip=0.2)), plain, strict=True):
        for value, a in zip(mine, base, strict=True):
            assert math.isfinite(value) and abs(value - a) <= (mu * 0.2 + 1e-12) * abs(a)


def test_what_it_needs():
    objective = OBJECTIVES["agent_opsd"]
    needs = objective.needs(Settings(mu=0.5))
    assert (needs.teacher, needs.old, needs.reference) == (True, True, False)
    idle = objective.needs(Settings(mu=0.0))
    assert (idle.teacher, idle.old, idle.reference) == (False, False, False)
