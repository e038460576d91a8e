"""The distillation term against float64 references, finite differences and wild inputs."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sdar_cli.objectives.distillation import FLOOR, gated_distillation
from sdar_cli.objectives.gates import GATES


def reference(student, teacher, mask, normaliser, coef, gate, beta):
    """λ · mean_m(σ(β·Δ)·(logp_T − logp_S)), one token at a time, in Python's float64."""
    total = 0.0
    for s_row, t_row, m_row in zip(student, teacher, mask, strict=True):
        for s, t, m in zip(s_row, t_row, m_row, strict=True):
            if m:
                g = 1.0 / (1.0 + math.exp(-beta * (t - s))) if gate == "gap" else 1.0
                total += g * (t - s)
    return coef * total / normaliser


def example(seed=0, rows=3, length=5):
    generator = torch.Generator().manual_seed(seed)
    student = -torch.rand(rows, length, generator=generator, dtype=torch.float64) * 3
    teacher = -torch.rand(rows, length, generator=generator, dtype=torch.float64) * 3
    mask = (torch.rand(rows, length, generator=generator) > 0.3).long()
    return student, teacher, mask


@pytest.mark.parametrize("gate", sorted(GATES))
@pytest.mark.parametrize("beta", [0.0, 1.0, 5.0])
def test_value_is_the_formula(gate, beta):
    student, teacher, mask = example()
    n = mask.sum().item()
    term = gated_distillation(student, teacher, mask, n, coef=0.3, gate=gate, beta=beta)
    expected = reference(student.tolist(), teacher.tolist(), mask.tolist(), n, 0.3, gate, beta)
    assert term.loss.item() == pytest.approx(expected, rel=1e-12)


def test_gradient_is_minus_coef_gate_over_tokens():
    """∂L/∂logp_S = −λ·g/n on response tokens and 0 elsewhere: the term only ever raises log-probs."""
    student, teacher, mask = example()
    student.requires_grad_()
    n = mask.sum().item()
    term = gated_distillation(student, teacher, mask, n, coef=0.3, gate="gap", beta=5.0)
    term.loss.backward()
    expected = -0.3 * torch.sigmoid(5.0 * (teacher - student.detach())) * mask / n
    assert torch.allclose(student.grad, expected, rtol=1e-12, atol=0)
    assert (student.grad[mask.bool()] < 0).all() and (student.grad[~mask.bool()] == 0).all()


def test_gradient_through_a_model_is_minus_coef_gate_grad_logp():
    """With a softmax policy: dL/dθ = −λ/n · Σ g·∇logp, checked against finite differences with g held fixed."""
    torch.manual_seed(0)
    logits = torch.randn(2, 4, 7, dtype=torch.float64, requires_grad=True)
    tokens = torch.randint(0, 7, (2, 4, 1))
    teacher = -torch.rand(2, 4, dtype=torch.float64)
    mask = torch.tensor([[1, 1, 0, 1], [1, 0, 0, 0]])

    def logps(values):
        return values.log_softmax(-1).gather(-1, tokens).squeeze(-1)

    term = gated_distillation(logps(logits), teacher, mask, 4.0, coef=0.7, gate="gap", beta=2.0)
    term.loss.backward()
    with torch.no_grad():
        weights = -0.7 * term.gate / 4.0
        step = 1e-6
        for index in [(0, 0, 0), (0, 1, 3), (0, 2, 1), (1, 0, 6), (1, 2, 2)]:
            up, down = logits.clone(), logits.clone()
            up[index] += step
            down[index] -= step
            slope = ((weights * (logps(up) - logps(down))).sum() / (2 * step)).item()
            assert logits.grad[index].item() == pytest.approx(slope, rel=1e-5, abs=1e-10)


def test_no_gradient_reaches_teacher_or_gate():
    student, teacher, mask = example()
    student.requires_grad_()
    teacher.requires_grad_()
    term = gated_distillation(student, teacher, mask, 1.0, coef=1.0, gate="gap", beta=5.0)
    term.loss.backward()
    assert teacher.grad is None
    assert not term.gap.requires_grad and not term.gate.requires_grad


def test_no_gate_at_half_coef_is_beta_zero():
    student, teacher, mask = example()
    half = gated_distillation(student, teacher, mask, 7.0, coef=0.05, gate="none", beta=5.0)
    zero = gated_distillation(student, teacher, mask, 7.0, coef=0.1, gate="gap", beta=0.0)
    assert half.loss.item() == zero.loss.item()


def test_empty_mask_gives_zero_loss_and_gradient():
    student, teacher, mask = example()
    student.requires_grad_()
    term = gated_distillation(student, teacher, mask * 0, 1.0, coef=1.0, gate="gap", beta=5.0)
    term.loss.backward()
    assert term.loss.item() == 0.0 and (student.grad == 0).all()


def test_infinity_behind_the_mask_is_never_seen():
    student, teacher, mask = example()
    clean = gated_distillation(student, teacher, mask, 5.0, coef=1.0, gate="gap", beta=5.0)
    hidden = ~mask.bool()
    dirty = student.masked_fill(hidden, -math.inf).requires_grad_()
    term = gated_distillation(dirty, teacher.masked_fill(hidden, math.nan), mask, 5.0, coef=1.0, gate="gap", beta=5.0)
    term.loss.backward()
    assert term.loss.item() == clean.loss.item()
    assert torch.isfinite(dirty.grad).all()


wild = st.one_of(
    st.floats(min_value=-50, max_value=0), st.just(-math.inf), st.just(0.0), st.just(FLOOR), st.just(-1e30)
)


@settings(max_examples=200, deadline=None)
@given(
    rows=st.lists(st.tuples(wild, wild, st.integers(0, 1)), min_size=1, max_size=12),
    beta=st.floats(0, 100),
    gate=st.sampled_from(sorted(GATES)),
)
def test_wild_inputs_stay_finite_and_within_the_bound(rows, beta, gate):
    """No token's gradient exceeds λ over the number of response tokens (the paper's bound)."""
    student = torch.tensor([[r[0] for r in rows]], requires_grad=True)
    teacher = torch.tensor([[r[1] for r in rows]])
    mask = torch.tensor([[r[2] for r in rows]])
    n = max(1, int(mask.sum()))
    term = gated_distillation(student, teacher, mask, n, coef=0.5, gate=gate, beta=beta)
    term.loss.backward()
    assert torch.isfinite(term.loss) and torch.isfinite(student.grad).all()
    assert student.grad.abs().max().item() <= 0.5 / n * (1 + 1e-6)
