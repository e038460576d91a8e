"""PPO with the KL in the reward: A_t = G_t − group mean of whole returns, r_t = −kl_coef·k1_t, R at the end."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from objective_examples import WILD_LOGP, drawn_trajectories, trajectory

from sdar_cli.objectives.ppo_kl import advantages
from sdar_cli.objectives.registry import OBJECTIVES
from sdar_cli.objectives.settings import Settings


def rewards(t, kl_coef: float) -> list[list[float]]:
    """Of every token of every turn, without R."""
    return [
        [-kl_coef * (o - r) for o, r in zip(old.tolist(), ref.tolist(), strict=True)]
        for old, ref in zip(t.old, t.reference, strict=True)
    ]


@given(st.integers(0, 10**6), st.sampled_from([0.01, 1.0]))
@settings(deadline=None)
def test_each_token_is_worth_its_return_to_go_less_the_groups_mean(seed, kl_coef):
    played = drawn_trajectories(seed)
    got = advantages(played, Settings(kl_coef=kl_coef))
    whole = [t.reward + sum(map(sum, rewards(t, kl_coef))) for t in played]
    for i, t in enumerate(played):
        group = [g for g, other in zip(whole, played, strict=True) if other.group == t.group]
        baseline = sum(group) / len(group)
        per_turn = rewards(t, kl_coef)
        for k, (turn, fine) in enumerate(zip(per_turn, t.fines, strict=True)):
            later = sum(map(sum, per_turn[k + 1 :]))
            expected = [sum(turn[n:]) + later + t.reward - baseline - fine for n in range(len(turn))]
            assert got[i][k].tolist() == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_without_a_coefficient_it_is_the_return_less_the_mean():
    played = [trajectory(0, r, [[], []], fines=[0.0, 0.1]) for r in (10.0, 0.0)]
    assert advantages(played, Settings(kl_coef=0.0)) == [[5.0, 4.9], [-5.0, -5.1]]


def test_a_token_that_left_the_reference_pays_for_itself_and_those_before_it():
    """One token far above the reference: earlier tokens and it carry the price, later ones do not."""
    calm, far = (-1.0, 0.0, -1.0), (-1.0, 0.0, -4.0)
    (own, _) = advantages(
        [trajectory(0, 0.0, [[calm, far, calm]]), trajectory(0, 0.0, [[calm]])], Settings(kl_coef=0.1)
    )
    values = own[0].tolist()
    assert values[0] == values[1] == pytest.approx(values[2] - 0.3)


@given(st.lists(st.tuples(st.floats(-100, 100), st.lists(st.tuples(*[WILD_LOGP] * 3), max_size=4)), min_size=1))
@settings(max_examples=100, deadline=None)
def test_wild_inputs_stay_finite(drawn):
    played = [trajectory(0, reward, [turn]) for reward, turn in drawn]
    for (a,) in advantages(played, Settings(kl_coef=0.5)):
        assert torch.isfinite(a).all()


def test_what_it_needs():
    objective = OBJECTIVES["ppo_kl"]
    needs, idle = objective.needs(Settings(kl_coef=0.1)), objective.needs(Settings(kl_coef=0.0))
    assert (needs.teacher, needs.old, needs.reference) == (False, True, True)
    assert (idle.teacher, idle.old, idle.reference) == (False, False, False)
    assert objective.kl_in_reward and objective.ratio and objective.term is None
