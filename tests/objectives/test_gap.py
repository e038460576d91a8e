"""The gap: selected by the mask, floored, detached from the teacher; and as the gate sees it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from objective_examples import BEHIND_THE_MASK, WILD_LOGP, drawn, tokens

from sdar_cli.objectives.gap import FLOOR, gate_input, selected, token_gap
from sdar_cli.objectives.settings import Settings


def test_the_gap_is_teacher_less_student_and_only_the_student_has_a_gradient():
    batch = drawn()
    student, teacher = batch["student"].requires_grad_(), batch["teacher"].requires_grad_()
    gap = token_gap(student, teacher, batch["mask"])
    chosen = batch["mask"].bool()
    assert torch.equal(gap[chosen], (teacher - student)[chosen]) and (gap[~chosen] == 0).all()
    gap.sum().backward()
    assert teacher.grad is None and torch.equal(student.grad, -batch["mask"].double())


@pytest.mark.parametrize("hidden", BEHIND_THE_MASK)
def test_what_is_masked_is_never_seen(hidden):
    values = torch.tensor([[-1.0, hidden]], requires_grad=True)
    chosen = selected(values, torch.tensor([[1, 0]]))
    chosen.sum().backward()
    assert chosen.tolist() == [[-1.0, 0.0]] and values.grad.tolist() == [[1.0, 0.0]]


@given(st.lists(st.tuples(WILD_LOGP, WILD_LOGP), min_size=1, max_size=8))
def test_an_underflow_is_a_large_gap(pairs):
    student, teacher = (torch.tensor([column]) for column in zip(*pairs, strict=True))
    gap = token_gap(student, teacher, torch.ones(1, len(pairs)))
    assert torch.isfinite(gap).all() and gap.abs().max() <= -FLOOR


def test_a_standardised_gap():
    batch = drawn()
    about = {name: batch[name] for name in ("mask", "turns")}
    both = tokens(batch["student"], batch["teacher"], **about, gap_mean=0.4, gap_std=2.5)
    gap = token_gap(batch["student"], batch["teacher"], batch["mask"])
    seen = gate_input(gap, both, Settings(normalise="zscore"))
    chosen = batch["mask"].bool()
    assert torch.allclose(seen[chosen], (gap[chosen] - 0.4) / 2.5, rtol=1e-14)
    assert torch.equal(gate_input(gap, both, Settings()), gap)


def test_gaps_that_are_all_alike_are_not_divided_by_nothing():
    flat = torch.full((1, 3), -1.0)
    both = tokens(flat, flat + 0.5, gap_mean=0.5, gap_std=0.0)
    assert gate_input(flat * 0 + 0.5, both, Settings(normalise="zscore")).tolist() == [[0.0] * 3]


@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 9))
def test_a_turns_mean_is_taken_off_its_own_response_tokens(seed, rows, length):
    batch = drawn(seed, rows, length)
    both = tokens(batch["student"], batch["teacher"], mask=batch["mask"], turns=batch["turns"])
    gap = token_gap(batch["student"], batch["teacher"], batch["mask"])
    seen = gate_input(gap, both, Settings(normalise="turn_mean")).numpy()
    mask, turns = batch["mask"].numpy().astype(bool), batch["turns"].numpy()
    for row in range(rows):
        for turn in range(3):
            own = mask[row] & (turns[row] == turn)
            if own.any():
                expected = gap.numpy()[row][own] - gap.numpy()[row][own].mean()
                np.testing.assert_allclose(seen[row][own], expected, atol=1e-14)
    assert (seen[~mask] == 0).all()


def test_a_turn_of_one_token_has_a_gap_of_zero():
    both = tokens(torch.tensor([[-1.0, -2.0]]), torch.zeros(1, 2), turns=torch.tensor([[0, 1]]))
    gap = token_gap(both.student, both.teacher, both.mask)
    assert gate_input(gap, both, Settings(normalise="turn_mean")).tolist() == [[0.0, 0.0]]
    assert math.isfinite(FLOOR)
