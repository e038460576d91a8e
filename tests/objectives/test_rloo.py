"""RLOO: A_i = R'_i − mean of the others' R', R' = R − kl_coef · Σ (logp_old − logp_ref)."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from objective_examples import WILD_LOGP, drawn_trajectories, trajectory

from sdar_cli.objectives.registry import OBJECTIVES
from sdar_cli.objectives.rloo import advantages
from sdar_cli.objectives.settings import Settings


def penalised(t, kl_coef: float) -> float:
    pairs = [
        pair
        for old, ref in zip(t.old, t.reference, strict=True)
        for pair in zip(old.tolist(), ref.tolist(), strict=True)
    ]
    return t.reward - kl_coef * sum(o - r for o, r in pairs)


@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.01, 1.0]))
@settings(deadline=None)
def test_the_baseline_is_the_others_mean(seed, kl_coef):
    played = drawn_trajectories(seed)
    got = advantages(played, Settings(kl_coef=kl_coef))
    for i, own in enumerate(played):
        others = [penalised(t, kl_coef) for j, t in enumerate(played) if t.group == own.group and j != i]
        a = penalised(own, kl_coef) - sum(others) / len(others) if others else 0.0
        assert got[i] == pytest.approx([a - fine for fine in own.fines], rel=1e-9, abs=1e-9)


def test_a_group_sums_to_zero_and_is_not_divided_by_a_deviation():
    played = [trajectory(0, reward, [[]]) for reward in (10.0, 0.0, 0.0)]
    assert [a for (a,) in advantages(played, Settings(kl_coef=0.0))] == [10.0, -5.0, -5.0]


@given(st.lists(st.tuples(st.floats(-100, 100), st.lists(st.tuples(*[WILD_LOGP] * 3), max_size=4)), min_size=1))
@settings(max_examples=100, deadline=None)
def test_wild_inputs_stay_finite(drawn):
    played = [trajectory(0, reward, [turn]) for reward, turn in drawn]
    for (a,) in advantages(played, Settings(kl_coef=0.5)):
        assert math.isfinite(a)


def test_what_it_needs():
    objective = OBJECTIVES["rloo"]
    needs, idle = objective.needs(Settings(kl_coef=0.1)), objective.needs(Settings(kl_coef=0.0))
    assert (needs.teacher, needs.old, needs.reference) == (False, True, True)
    assert (idle.teacher, idle.old, idle.reference) == (False, False, False)
    assert objective.kl_in_reward and not objective.ratio and objective.term is None
