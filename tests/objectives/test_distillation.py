"""The distillation term: value and gradient of every form and gate, normalisation, wild inputs, the bound.

The reference is written token by token in Python's floats from the formulas of the method's page.
"""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from objective_examples import BEHIND_THE_MASK, WILD_LOGP, drawn, flat, logistic, tokens
from torch import Tensor

from sdar_cli.objectives.distillation import distillation
from sdar_cli.objectives.gates import GATES
from sdar_cli.objectives.registry import OBJECTIVES
from sdar_cli.objectives.settings import Settings

VOCABULARY = 6


def reference_gates(batch: dict[str, Tensor], chosen: Settings, mean: float, std: float) -> list[float]:
    """g of every token; 0 where masked."""
    rows, length = batch["student"].shape
    out = []
    for row in range(rows):
        s, t, m, h, k = (batch[name][row].tolist() for name in ("student", "teacher", "mask", "entropy", "turns"))
        for i in range(length):
            gap = t[i] - s[i]
            if chosen.normalise == "zscore":
                gap = (gap - mean) / std
            elif chosen.normalise == "turn_mean":
                own = [t[j] - s[j] for j in range(length) if m[j] and k[j] == k[i]]
                gap -= sum(own) / len(own) if own else 0.0
            g = {
                "gap": logistic(chosen.beta * gap),
                "entropy": logistic(chosen.beta * h[i]),
                "soft_or": logistic(chosen.beta * (1 - (1 - h[i]) * (1 - gap))),
                "none": 1.0,
            }[chosen.gate]
            out.append(m[i] * (0.5 if chosen.form == "uniform" else g))
    return out


def term_of(batch: dict[str, Tensor], chosen: Settings, **about):
    names = ("mask", "turns", "entropy")
    both = tokens(batch["student"], batch["teacher"], **{name: batch[name] for name in names} | about)
    return distillation(both, chosen)


@pytest.mark.parametrize("gate", sorted(GATES))
@pytest.mark.parametrize("normalise", ["none", "zscore", "turn_mean"])
@pytest.mark.parametrize("beta", [0.0, 1.0, 5.0])
def test_gated_value_and_gradient_are_the_formula(gate, normalise, beta):
    """λ · mean(g · (logp_T − logp_S)), and −λ·g/n as its gradient in a token's own log-prob."""
    batch = drawn()
    batch["student"].requires_grad_()
    chosen = Settings(coef=0.3, gate=gate, beta=beta, normalise=normalise)
    term = term_of(batch, chosen, normaliser=11.0, gap_mean=0.2, gap_std=1.7)
    term.loss.backward()
    gates = reference_gates(batch, chosen, 0.2, 1.7)
    values = flat(batch["student"], batch["teacher"])
    expected = 0.3 * sum(g * (t - s) for g, (s, t) in zip(gates, values, strict=True)) / 11.0
    assert term.loss.item() == pytest.approx(expected, rel=1e-12)
    assert batch["student"].grad.flatten().tolist() == pytest.approx([-0.3 * g / 11.0 for g in gates], rel=1e-12)
    assert term.gate.flatten().tolist() == pytest.approx(gates, rel=1e-12)
    assert not term.gap.requires_grad and not term.gate.requires_grad


def test_uniform_is_weight_one_half():
    batch = drawn()
    batch["student"].requires_grad_()
    term = term_of(batch, Settings(coef=0.4, form="uniform", beta=77.0, gate="entropy"))
    term.loss.backward()
    n = int(batch["mask"].sum())
    expected = 0.4 * sum(0.5 * (t - s) for s, t, m in flat(*(batch[x] for x in ("student", "teacher", "mask"))) if m)
    assert term.loss.item() == pytest.approx(expected / n, rel=1e-12)
    assert torch.allclose(batch["student"].grad, -0.4 * 0.5 * batch["mask"].double() / n, rtol=1e-14, atol=0)


def test_signed_is_minus_the_gap_times_the_log_prob():
    batch = drawn()
    batch["student"].requires_grad_()
    term = term_of(batch, Settings(coef=0.4, form="signed"))
    term.loss.backward()
    n = int(batch["mask"].sum())
    values = flat(*(batch[name] for name in ("student", "teacher", "mask")))
    assert term.loss.item() == pytest.approx(-0.4 * sum((t - s) * s for s, t, m in values if m) / n, rel=1e-12)
    expected = [-0.4 * m * (t - s) / n for s, t, m in values]
    assert batch["student"].grad.flatten().tolist() == pytest.approx(expected, rel=1e-12)
    assert term.gate is None


# -- through a softmax policy ----------------------------------------------------------------------


def policy(seed: int = 0) -> dict[str, Tensor]:
    """Logits (2, 4, V) with a gradient, sampled tokens, and the rest of a micro-batch."""
    draw = torch.Generator().manual_seed(seed)
    return {
        "logits": torch.randn(2, 4, VOCABULARY, generator=draw, dtype=torch.float64, requires_grad=True),
        "chosen": torch.randint(0, VOCABULARY, (2, 4, 1), generator=draw),
        "teacher": torch.randn(2, 4, VOCABULARY, generator=draw, dtype=torch.float64).log_softmax(-1),
        "mask": torch.tensor([[1, 1, 0, 1], [1, 0, 0, 1]]),
        "turns": torch.tensor([[0, 0, 0, 1], [2, 2, 2, 2]]),
    }


def loss_of(logits: Tensor, about: dict[str, Tensor], chosen: Settings, divergence=None) -> Tensor:
    logps = logits.log_softmax(-1)
    return distillation(
        tokens(
            logps.gather(-1, about["chosen"]).squeeze(-1),
            about["teacher"].gather(-1, about["chosen"]).squeeze(-1),
            about["mask"],
            turns=about["turns"],
            entropy=-(logps.exp() * logps).sum(-1) / math.log(VOCABULARY),
            divergence=None if divergence is None else divergence(logps, about["teacher"]),
            gap_mean=0.3,
            gap_std=0.8,
        ),
        chosen,
    ).loss


def reverse_kl(student: Tensor, teacher: Tensor) -> Tensor:
    return (student.exp() * (student - teacher)).sum(-1)


@pytest.mark.parametrize("gate", sorted(GATES))
@pytest.mark.parametrize("normalise", ["none", "zscore", "turn_mean"])
@pytest.mark.parametrize("divergence", [None, reverse_kl], ids=["sampled", "reverse"])
def test_without_the_stop_gradient_it_is_the_loss_itself_that_is_differentiated(gate, normalise, divergence):
    """gate.detach=false, against finite differences, entropies' and turn means' own gradients included."""
    about = policy()
    chosen = Settings(coef=0.7, gate=gate, beta=2.0, normalise=normalise, detach=False)
    assert torch.autograd.gradcheck(
        partial(loss_of, about=about, chosen=chosen, divergence=divergence), (about["logits"],)
    )


@pytest.mark.parametrize("gate", sorted(GATES))
@pytest.mark.parametrize("divergence", [None, reverse_kl], ids=["sampled", "reverse"])
def test_with_it_the_gate_is_a_constant(gate, divergence):
    """The gradient is that of the same loss whose gates were computed beforehand, by finite differences."""
    about, logits = policy(), policy()["logits"]
    chosen = Settings(coef=0.7, gate=gate, beta=2.0)
    loss_of(logits, about, chosen, divergence).backward()
    with torch.no_grad():
        logps = logits.log_softmax(-1)
        own = logps.gather(-1, about["chosen"]).squeeze(-1)
        entropy = -(logps.exp() * logps).sum(-1) / math.log(VOCABULARY)
        teacher = about["teacher"].gather(-1, about["chosen"]).squeeze(-1)
        batch = {**about, "student": own, "teacher": teacher, "entropy": entropy}
        gates = torch.tensor(reference_gates(batch, chosen, 0, 1), dtype=torch.float64).view(2, 4)

        def held(values: Tensor) -> float:
            moved = values.log_softmax(-1)
            each = teacher - moved.gather(-1, about["chosen"]).squeeze(-1)
            if divergence is not None:
                each = divergence(moved, about["teacher"])
            return 0.7 * (gates * each).sum().item() / 5

        step = 1e-6
        for index in [(0, 0, 0), (0, 1, 3), (0, 2, 1), (0, 3, 5), (1, 0, 2), (1, 3, 4)]:
            up, down = logits.clone(), logits.clone()
            up[index] += step
            down[index] -= step
            slope = (held(up) - held(down)) / (2 * step)
            assert logits.grad[index].item() == pytest.approx(slope, rel=1e-5, abs=1e-9), index


def expected_gradient(chosen: Settings, seed: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """Σ_y π(y)·∇loss(y) for one token, every y enumerated; and student's and teacher's log-probs."""
    draw = torch.Generator().manual_seed(seed)
    logits = torch.randn(VOCABULARY, generator=draw, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(VOCABULARY, generator=draw, dtype=torch.float64).log_softmax(-1)
    probabilities = logits.detach().softmax(-1)
    total = torch.zeros(VOCABULARY, dtype=torch.float64)
    for y in range(VOCABULARY):
        own = logits.log_softmax(-1)[y].view(1, 1)
        loss = distillation(tokens(own, teacher[y].view(1, 1), entropy=torch.ones(1, 1)), chosen).loss
        (gradient,) = torch.autograd.grad(loss, logits)
        total += probabilities[y] * gradient
    return total, logits, teacher


def test_signed_is_the_reverse_kl_gradient():
    """For on-policy samples E[−Δ·∇logp_S] = ∇KL(S ‖ T)."""
    total, logits, teacher = expected_gradient(Settings(coef=1.0, form="signed"))
    (exact,) = torch.autograd.grad(reverse_kl(logits.log_softmax(-1), teacher), logits)
    torch.testing.assert_close(total, exact, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("chosen", [Settings(gate="none"), Settings(beta=0.0), Settings(form="uniform")])
def test_a_constant_gate_teaches_nothing_in_expectation(chosen):
    total, _, _ = expected_gradient(chosen)
    assert total.abs().max() < 1e-15


def test_a_gap_gate_is_a_policy_gradient_with_the_gate_as_reward():
    total, logits, teacher = expected_gradient(Settings(coef=0.5, beta=5.0))
    logps = logits.log_softmax(-1)
    reward = 0.5 * torch.sigmoid(5.0 * (teacher - logps.detach()))
    (exact,) = torch.autograd.grad(-(logps.exp().detach() * reward * logps).sum(), logits)
    torch.testing.assert_close(total, exact, rtol=1e-10, atol=1e-12)
    assert total.abs().max() > 1e-3


# -- identities ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("coef", [0.1, 0.01, 0.3, 1 / 3])
def test_beta_zero_is_no_gate_at_half_is_uniform(dtype, coef):
    batch = {k: v.to(dtype) if v.is_floating_point() else v for k, v in drawn().items()}
    gradients = []
    for chosen in (Settings(coef=coef, beta=0.0), Settings(coef=coef / 2, gate="none"), Settings(coef, "uniform")):
        student = batch["student"].clone().requires_grad_()
        term = term_of({**batch, "student": student}, chosen, normaliser=7.0)
        term.loss.backward()
        gradients.append((term.loss.item(), student.grad))
    for loss, gradient in gradients[1:]:
        assert loss == gradients[0][0] and torch.equal(gradient, gradients[0][1])


@given(st.integers(0, 10**6), st.integers(1, 5), st.sampled_from(sorted(GATES)), st.booleans())
@settings(max_examples=40, deadline=None)
def test_micro_batches_add_up_to_the_whole(seed, cut, gate, detach):
    batch = drawn(seed, rows=6)
    n = max(1, int(batch["mask"].sum()))
    chosen = Settings(coef=0.3, gate=gate, normalise="turn_mean", detach=detach)
    whole = term_of(batch, chosen, normaliser=n).loss.item()
    parts = [{k: v[rows] for k, v in batch.items()} for rows in (slice(0, cut), slice(cut, None))]
    assert sum(term_of(p, chosen, normaliser=n).loss.item() for p in parts) == pytest.approx(
        whole, rel=1e-12, abs=1e-15
    )


# -- wild inputs -----------------------------------------------------------------------------------

FORMS = [
    *(Settings(coef=0.5, gate=gate, normalise=n) for gate in sorted(GATES) for n in ("none", "zscore", "turn_mean")),
    Settings(coef=0.5, form="uniform"),
    Settings(coef=0.5, form="signed"),
]


@pytest.mark.parametrize("detach", [True, False])
@pytest.mark.parametrize("chosen", FORMS, ids=lambda s: f"{s.form}-{s.gate}-{s.normalise}")
@pytest.mark.parametrize("hidden", BEHIND_THE_MASK)
def test_what_is_behind_the_mask_is_never_seen(chosen, hidden, detach):
    batch = drawn()
    chosen = Settings(**{name: getattr(chosen, name) for name in chosen.__slots__} | {"detach": detach})

    def run(replace: bool):
        dirty = {
            name: batch[name].masked_fill(~batch["mask"].bool(), hidden) if replace else batch[name]
            for name in ("student", "teacher", "entropy")
        }
        leaves = [dirty["student"].clone().requires_grad_(), dirty["entropy"].clone().requires_grad_()]
        divergence = leaves[0].masked_fill(~batch["mask"].bool(), hidden) if replace else leaves[0]
        both = {**batch, **dirty, "student": leaves[0], "entropy": leaves[1]}
        loss = term_of(both, chosen, divergence=None if chosen.form == "signed" else -divergence).loss
        loss.backward()
        return loss.item(), leaves[0].grad, leaves[1].grad

    (clean, own, entropies), (dirty, seen, others) = run(False), run(True)
    assert dirty == clean and torch.equal(own, seen)
    assert (entropies is None) is (others is None)
    assert entropies is None or torch.equal(entropies, others)


@pytest.mark.parametrize("chosen", FORMS, ids=lambda s: f"{s.form}-{s.gate}-{s.normalise}")
def test_an_empty_mask_is_loss_zero_and_gradient_zero(chosen):
    batch = drawn()
    student = batch["student"].requires_grad_()
    term = term_of({**batch, "mask": batch["mask"] * 0}, chosen, normaliser=1.0)
    term.loss.backward()
    assert term.loss.item() == 0.0 and (student.grad == 0).all()


wild_tokens = st.lists(
    st.tuples(WILD_LOGP, WILD_LOGP, st.floats(0, 1), st.integers(0, 1), st.integers(0, 3)), min_size=1, max_size=12
)


def wild(rows: list[tuple]) -> dict[str, Tensor]:
    columns = [torch.tensor([column]) for column in zip(*rows, strict=True)]
    batch = dict(zip(("student", "teacher", "entropy", "mask", "turns"), columns, strict=True))
    return batch | {"turns": batch["turns"].sort().values}


@settings(max_examples=300, deadline=None)
@given(wild_tokens, st.floats(0, 100), st.sampled_from(FORMS), st.booleans(), st.floats(-1e4, 1e4), st.floats(0, 1e4))
def test_wild_inputs_give_finite_losses_and_gradients(rows, beta, form, detach, mean, std):
    batch = wild(rows)
    student = batch["student"].requires_grad_()
    entropy = batch["entropy"].requires_grad_()
    chosen = Settings(**{name: getattr(form, name) for name in form.__slots__} | {"beta": beta, "detach": detach})
    term = term_of(batch, chosen, gap_mean=mean, gap_std=std)
    term.loss.backward()
    assert torch.isfinite(term.loss) and torch.isfinite(student.grad).all()
    assert entropy.grad is None or torch.isfinite(entropy.grad).all()
    assert (student.grad[~batch["mask"].bool()] == 0).all() and (term.gap[~batch["mask"].bool()] == 0).all()


@settings(max_examples=300, deadline=None)
@given(wild_tokens, st.floats(0, 100), st.sampled_from([form for form in FORMS if form.form != "signed"]))
def test_no_tokens_gradient_exceeds_the_coefficient_over_the_tokens(rows, beta, form):
    """The paper's bound, |∂L/∂logp_S| ≤ λ/n, holds for every gate that is detached; and it only ever pushes up."""
    batch = wild(rows)
    student = batch["student"].requires_grad_()
    chosen = Settings(**{name: getattr(form, name) for name in form.__slots__} | {"beta": beta})
    term_of(batch, chosen).loss.backward()
    n = max(1, int(batch["mask"].sum()))
    assert student.grad.abs().max().item() <= 0.5 / n * (1 + 1e-6)
    assert (student.grad <= 0).all()


def test_all_negative_gaps_close_the_gap_gate_and_nothing_else():
    student = torch.tensor([[-0.1, -0.2, -0.3]], requires_grad=True)
    term = distillation(tokens(student, torch.full((1, 3), -9.0)), Settings(coef=1.0, beta=5.0))
    term.loss.backward()
    assert (term.gate < 1e-18).all() and (student.grad.abs() < 1e-18).all() and term.loss.item() <= 0


# -- what the methods say of themselves ------------------------------------------------------------


@pytest.mark.parametrize("name", ["sdar", "opsd", "grpo_opsd"])
def test_a_coefficient_of_zero_needs_no_teacher(name):
    objective = OBJECTIVES[name]
    assert not objective.teaches(Settings(coef=0.0)) and not objective.needs(Settings(coef=0.0)).teacher
    assert objective.teaches(Settings(coef=1e-9)) and objective.needs(Settings(coef=1e-9)).teacher
    assert not objective.needs(Settings()).old and objective.needs(Settings(normalise="zscore")).old
    assert not objective.needs(Settings(coef=0.0, normalise="zscore")).old


def test_opsd_has_no_policy_gradient_and_the_others_have():
    assert [name for name, objective in OBJECTIVES.items() if not objective.policy] == ["opsd"]
    assert OBJECTIVES["opsd"].forms == ("gated", "signed")
    assert OBJECTIVES["grpo_opsd"].forms == ("uniform", "signed") and OBJECTIVES["sdar"].forms == ("gated",)
