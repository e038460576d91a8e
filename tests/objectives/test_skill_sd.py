"""Skill-SD: λ · mean(ρ·(e^{−ℓ} − 1 + ℓ)), ℓ = logp_S − sg(logp_T), ρ = exp(logp_S − logp_old)."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from objective_examples import BEHIND_THE_MASK, WILD_LOGP, drawn, flat, tokens
from torch import Tensor

from sdar_cli.objectives.registry import OBJECTIVES
from sdar_cli.objectives.settings import Settings
from sdar_cli.objectives.skill_sd import term


def reference(student: float, teacher: float, old: float) -> tuple[float, float]:
    """ρ·k3 of a token, and its derivative in logp_S, clamps included; a clamp cuts only beyond its border."""
    minus = teacher - student
    inside, ratio_inside = minus <= 20, student - old <= 10
    x, log_ratio = min(minus, 20.0), min(student - old, 10.0)
    k3, ratio = math.exp(x) - 1 - x, math.exp(log_ratio)
    slope = ratio * (-(math.exp(x) - 1) if inside else 0.0) + (ratio * k3 if ratio_inside else 0.0)
    return ratio * k3, slope


@pytest.mark.parametrize("scale", [1.0, 5.0, 20.0])
def test_value_and_gradient_are_the_formula(scale):
    """At the largest scale both clamps are active somewhere."""
    batch = drawn(2, rows=6, length=9)
    student = (scale * batch["student"]).requires_grad_()
    teacher, old = scale * batch["teacher"], scale * batch["old"]
    made = term(tokens(student, teacher, batch["mask"], old=old, normaliser=13.0), Settings(coef=0.4))
    made.loss.backward()
    pairs = [
        tuple(m * part for part in reference(s, t, o)) for s, t, o, m in flat(student, teacher, old, batch["mask"])
    ]
    assert made.loss.item() == pytest.approx(0.4 * sum(value for value, _ in pairs) / 13.0, rel=1e-10)
    assert student.grad.flatten().tolist() == pytest.approx([0.4 * slope / 13.0 for _, slope in pairs], rel=1e-9)
    if scale == 20.0:
        assert (teacher - student > 20).any() and (student - old > 10).any()


def test_through_a_softmax_head_it_is_finite_differences():
    """The gradient flows through ρ too: with logp_old fixed apart, gradcheck sees both factors move."""
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 5, generator=draw, dtype=torch.float64, requires_grad=True)
    chosen = torch.randint(0, 5, (2, 3, 1), generator=draw)
    batch = drawn(3, 2, 3)

    def loss(values: Tensor, old: Tensor | None) -> Tensor:
        own = values.log_softmax(-1).gather(-1, chosen).squeeze(-1)
        return term(tokens(own, batch["teacher"], batch["mask"], old=old), Settings(coef=0.7)).loss

    assert torch.autograd.gradcheck(partial(loss, old=batch["old"]), (logits,))


def test_on_the_first_update_the_ratio_is_one_and_its_gradient_is_not_lost():
    student = torch.tensor([[-1.0]], dtype=torch.float64, requires_grad=True)
    both = tokens(student, torch.tensor([[-0.4]], dtype=torch.float64), old=student.detach())
    term(both, Settings(coef=1.0)).loss.backward()
    k3 = math.exp(0.6) - 1 - 0.6
    assert student.grad.item() == pytest.approx(k3 - (math.exp(0.6) - 1), rel=1e-12)


def test_in_expectation_it_is_the_reverse_kl_and_its_gradient():
    """Σ_y π_old(y)·ρ·k3 = KL(S ‖ T): unbiased in value and gradient, whatever the rollout-time student was."""
    draw = torch.Generator().manual_seed(5)
    logits = torch.randn(6, generator=draw, dtype=torch.float64, requires_grad=True)
    teacher, old = (torch.randn(6, generator=draw, dtype=torch.float64).log_softmax(-1) for _ in range(2))
    own = logits.log_softmax(-1)
    total = sum(
        old[y].exp() * term(tokens(own[y].view(1, 1), teacher[y].view(1, 1), old=old[y].view(1, 1)), Settings(1.0)).loss
        for y in range(6)
    )
    exact = (own.exp() * (own - teacher)).sum()
    assert total.item() == pytest.approx(exact.item(), rel=1e-10)
    (got,) = torch.autograd.grad(total, logits, retain_graph=True)
    (expected,) = torch.autograd.grad(exact, logits)
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("border", ["gap", "ratio"])
def test_a_clamp_cuts_the_gradient_only_beyond_its_border(border):
    """At −ℓ = 20 exactly, and at log ρ = 10 exactly, the gradient still flows."""
    teacher, old = (0.0, -20.0) if border == "gap" else (-12.0, -20.0)
    at = -20.0 if border == "gap" else -10.0
    student = torch.tensor([[at]], dtype=torch.float64, requires_grad=True)
    both = tokens(student, torch.tensor([[teacher]]).double(), old=torch.tensor([[old]]).double())
    term(both, Settings(coef=1.0)).loss.backward()
    assert student.grad.item() == pytest.approx(reference(at, teacher, old)[1], rel=1e-12)
    assert student.grad.item() != 0


def test_a_small_gap_is_not_lost_to_rounding():
    """In float32 e^x − 1 − x of x = 1e-4 is 5e-9, and not the 6e-8 by which e^x is rounded."""
    student = torch.tensor([[-1.0]], requires_grad=True)
    both = tokens(student, torch.tensor([[-1.0 + 2**-13]]), old=torch.tensor([[-1.0]]))
    value = term(both, Settings(coef=1.0)).loss.item()
    assert value == pytest.approx(2**-27, rel=1e-2)


@pytest.mark.parametrize("hidden", BEHIND_THE_MASK)
def test_what_is_masked_is_never_seen(hidden):
    batch = drawn()
    away = ~batch["mask"].bool()
    clean = term(tokens(batch["student"], batch["teacher"], batch["mask"], old=batch["old"]), Settings())
    student = batch["student"].masked_fill(away, hidden).requires_grad_()
    dirty = term(
        tokens(
            student,
            batch["teacher"].masked_fill(away, hidden),
            batch["mask"],
            old=batch["old"].masked_fill(away, hidden),
        ),
        Settings(),
    )
    dirty.loss.backward()
    assert dirty.loss.item() == clean.loss.item() and torch.isfinite(student.grad).all()
    assert (student.grad[away] == 0).all()


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(WILD_LOGP, WILD_LOGP, WILD_LOGP, st.integers(0, 1)), min_size=1, max_size=12))
def test_wild_inputs_give_finite_losses_and_gradients(rows):
    student, teacher, old, mask = (torch.tensor([column]) for column in zip(*rows, strict=True))
    student.requires_grad_()
    made = term(tokens(student, teacher, mask, old=old), Settings(coef=0.5))
    made.loss.backward()
    assert torch.isfinite(made.loss) and torch.isfinite(student.grad).all()
    assert made.loss.item() >= -1e-7 and made.gate is None
    assert (student.grad[~mask.bool()] == 0).all()


def test_what_it_needs():
    objective = OBJECTIVES["skill_sd"]
    assert not objective.needs(Settings(coef=0.0)).teacher and objective.needs(Settings(coef=1e-3)).teacher
    assert not objective.needs(Settings()).old, "the trainer's own log-probs serve on the first update"
