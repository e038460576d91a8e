"""Gates against their formulas in Python's floats, and their ranges."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from objective_examples import logistic

from sdar_cli.objectives.gates import GATES, SEE_GAP

FORMULAS = {
    "gap": lambda gap, h, beta: logistic(beta * gap),
    "entropy": lambda gap, h, beta: logistic(beta * h),
    "soft_or": lambda gap, h, beta: logistic(beta * (1 - (1 - h) * (1 - gap))),
    "none": lambda gap, h, beta: 1.0,
}


def gate(name: str, gap: float, h: float, beta: float) -> float:
    return GATES[name](
        torch.tensor([[gap]], dtype=torch.float64), torch.tensor([[h]], dtype=torch.float64), beta
    ).item()


def test_the_gates_are_these():
    assert GATES.keys() == FORMULAS.keys()


@given(st.sampled_from(sorted(FORMULAS)), st.floats(-30, 30), st.floats(0, 1), st.floats(0, 20))
def test_a_gate_is_its_formula(name, gap, h, beta):
    assert gate(name, gap, h, beta) == pytest.approx(FORMULAS[name](gap, h, beta), rel=1e-12, abs=1e-300)


@given(st.sampled_from(sorted(FORMULAS)), st.floats(-1e4, 1e4), st.floats(0, 1), st.floats(0, 1e3))
def test_a_gate_is_a_share(name, gap, h, beta):
    assert 0 <= gate(name, gap, h, beta) <= 1


@given(st.floats(0, 1), st.floats(0, 20))
def test_the_entropy_gate_is_never_below_a_half(h, beta):
    assert 0.5 <= gate("entropy", math.nan, h, beta) <= logistic(beta) * (1 + 1e-15)


def test_soft_or_opens_where_either_would():
    """With h = 1, or with Δ = 1, the other has no part in it."""
    assert gate("soft_or", -7.0, 1.0, 5.0) == gate("soft_or", 1.0, 0.3, 5.0) == pytest.approx(logistic(5.0))
    assert gate("soft_or", 0.0, 0.0, 5.0) == 0.5


@pytest.mark.parametrize("name", sorted(FORMULAS))
def test_which_gates_see_the_gap(name):
    moved = gate(name, -2.0, 0.4, 5.0) != gate(name, 2.0, 0.4, 5.0)
    assert moved is (name in SEE_GAP)


@pytest.mark.parametrize("name", ["gap", "entropy", "soft_or"])
def test_beta_zero_is_a_half(name):
    assert gate(name, 3.0, 0.2, 0.0) == 0.5
