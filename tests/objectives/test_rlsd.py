"""RLSD: A·[(1−μ) + μ·clip(exp(sign(A)·Δ), 1−ε, 1+ε)] token by token."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from objective_examples import WILD_LOGP, drawn, flat, tokens

from sdar_cli.objectives.registry import OBJECTIVES
from sdar_cli.objectives.rlsd import reweigh
from sdar_cli.objectives.settings import Settings


def reference(a: float, gap: float, mu: float, clip: float) -> float:
    sign = (a > 0) - (a < 0)
    weight = min(max(math.exp(min(max(sign * gap, -50), 50)), 1 - clip), 1 + clip)
    return a * ((1 - mu) + mu * weight)


@pytest.mark.parametrize("mu", [0.0, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("clip", [0.2, 0.9])
def test_advantages_are_the_formula_and_of_the_rollout_time_student(mu, clip):
    batch = drawn(1)
    about = {name: batch[name] for name in ("mask", "old", "advantages")}
    got, gap = reweigh(tokens(batch["student"], batch["teacher"], **about), Settings(mu=mu, weight_clip=clip))
    for value, shown, a, old, teacher, m in flat(
        got, gap, batch["advantages"], batch["old"], batch["teacher"], batch["mask"]
    ):
        assert value == pytest.approx(reference(a, m * (teacher - old), mu, clip), rel=1e-12)
        assert shown == pytest.approx(m * (teacher - old))


def test_endorsed_tokens_gain_when_won_and_lose_when_lost():
    """A token the teacher likes: more credit in a good trajectory, less blame in a bad one."""
    both = tokens(torch.tensor([[-1.0, -1.0]]), torch.tensor([[-0.9, -0.9]]), advantages=torch.tensor([[1.0, -1.0]]))
    good, bad = reweigh(both, Settings(mu=0.5))[0][0].tolist()
    assert good > 1 and -1 < bad < 0


def test_no_gradient_is_left():
    batch = drawn()
    student = batch["student"].requires_grad_()
    teacher = batch["teacher"].requires_grad_()
    old = batch["old"].requires_grad_()
    got, gap = reweigh(tokens(student, teacher, old=old, advantages=batch["advantages"]), Settings())
    assert not got.requires_grad and not gap.requires_grad


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(WILD_LOGP, WILD_LOGP, st.floats(-100, 100), st.integers(0, 1)), min_size=1, max_size=8),
    st.floats(0, 1),
)
def test_wild_gaps_move_an_advantage_by_a_share_of_itself_at_most(rows, mu):
    old, teacher, advantages, mask = (torch.tensor([column]).double() for column in zip(*rows, strict=True))
    both = tokens(old, teacher, mask, advantages=advantages)
    got, gap = reweigh(both, Settings(mu=mu, weight_clip=0.2))
    assert torch.isfinite(got).all() and torch.isfinite(gap).all()
    assert ((got - advantages).abs() <= (mu * 0.2 + 1e-12) * advantages.abs()).all()
    assert torch.equal(got.sign(), advantages.sign())


def test_what_it_needs():
    objective = OBJECTIVES["rlsd"]
    assert not objective.needs(Settings(mu=0.0)).teacher and not objective.teaches(Settings(mu=0.0))
    needs = objective.needs(Settings(mu=0.1))
    assert (needs.teacher, needs.old, needs.reference) == (True, False, False)
    assert objective.term is None, "it adds no loss"
