"""Full-vocabulary divergences: values, gradients through both heads, and that (B, T, V) never exists."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy
from torch import Tensor
from torch.nn.functional import linear

from sdar_cli.objectives.divergences import CHUNK, DIVERGENCES, full_vocabulary

ORACLES = {
    "reverse": lambda s, t: entropy(s, t),
    "forward": lambda s, t: entropy(t, s),
    "jsd": lambda s, t: jensenshannon(s, t) ** 2,
}
"""SciPy's, of probabilities, in nats."""


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def example(rows: int = 2, length: int = 3, width: int = 4, vocabulary: int = 7) -> dict[str, Tensor]:
    return {
        "student": drawn(0, rows, length, width).requires_grad_(),
        "teacher": drawn(1, rows, length, width + 1),
        "own": drawn(2, vocabulary, width).requires_grad_(),
        "other": drawn(3, vocabulary, width + 1),
        "mask": (drawn(4, rows, length) > -0.5).long(),
    }


def divergence_of(about: dict[str, Tensor], **options) -> Tensor:
    return full_vocabulary(
        about["student"],
        about["teacher"],
        lambda hidden: linear(hidden, about["own"]),
        lambda hidden: linear(hidden, about["other"]),
        about["mask"],
        **options,
    )


def test_the_divergences_are_these():
    assert DIVERGENCES.keys() == ORACLES.keys()


@pytest.mark.parametrize("kind", sorted(ORACLES))
@pytest.mark.parametrize("temperature", [1.0, 0.6])
@pytest.mark.parametrize("chunk", [1, 2, 128])
def test_values_are_scipys_and_chunks_change_nothing(kind, temperature, chunk):
    about = example()
    got = divergence_of(about, kind=kind, temperature=temperature, chunk=chunk).detach()
    student = (about["student"] @ about["own"].T / temperature).softmax(-1).detach().numpy()
    teacher = (about["teacher"] @ about["other"].T / temperature).softmax(-1).numpy()
    for row, column in np.ndindex(got.shape):
        expected = ORACLES[kind](student[row, column], teacher[row, column]) if about["mask"][row, column] else 0.0
        assert got[row, column].item() == pytest.approx(expected, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("kind", sorted(ORACLES))
@pytest.mark.parametrize("chunk", [2, 128])
def test_gradients_are_finite_differences(kind, chunk):
    """In the student's hidden states and its head; none reaches the teacher."""
    about = example()
    about["teacher"].requires_grad_()
    about["other"].requires_grad_()

    def total(student: Tensor, own: Tensor) -> Tensor:
        return divergence_of({**about, "student": student, "own": own}, kind=kind, chunk=chunk, temperature=0.8)

    assert torch.autograd.gradcheck(total, (about["student"], about["own"]))
    divergence_of(about, kind=kind).sum().backward()
    assert about["teacher"].grad is None and about["other"].grad is None


class Head:
    """A linear head that writes down how many rows it was given."""

    def __init__(self, weight: Tensor) -> None:
        self.weight = weight
        self.seen: list[int] = []

    def __call__(self, hidden: Tensor) -> Tensor:
        assert hidden.dim() == 2
        self.seen.append(len(hidden))
        return linear(hidden, self.weight)


@pytest.mark.parametrize("kind", sorted(ORACLES))
def test_logits_of_one_chunk_exist_at_a_time(kind):
    """In the forward and, computed again, in the backward pass; each response token once, no other at all."""
    about = example(rows=5, length=90)
    own, other = Head(about["own"]), Head(about["other"])
    n = int(about["mask"].sum())
    assert CHUNK < n < about["mask"].numel()
    values = full_vocabulary(about["student"], about["teacher"], own, other, about["mask"], kind=kind)
    assert max(own.seen) == max(other.seen) == CHUNK and sum(own.seen) == sum(other.seen) == n
    values.sum().backward()
    assert max(own.seen) == max(other.seen) == CHUNK and sum(own.seen) == sum(other.seen) == 2 * n


@pytest.mark.parametrize("kind", sorted(ORACLES))
def test_nothing_between_the_passes_keeps_logits(kind):
    """What autograd saves for the backward pass holds no tensor as wide as the vocabulary."""
    about = example(rows=2, length=30, vocabulary=97)
    kept: list[tuple[int, ...]] = []

    def pack(tensor: Tensor) -> Tensor:
        kept.append(tuple(tensor.shape))
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        divergence_of(about, kind=kind, chunk=8).sum()
    assert kept and not [shape for shape in kept if 97 in shape[1:]]


@pytest.mark.parametrize("kind", sorted(ORACLES))
@pytest.mark.parametrize("hidden", [math.nan, math.inf])
def test_what_is_masked_is_never_seen(kind, hidden):
    about = example()
    clean = divergence_of(about, kind=kind)
    away = ~about["mask"].bool().unsqueeze(-1)
    student = about["student"].detach().masked_fill(away, hidden).requires_grad_()
    dirty = divergence_of(
        {**about, "student": student, "teacher": about["teacher"].masked_fill(away, hidden)}, kind=kind
    )
    dirty.sum().backward()
    assert torch.equal(dirty, clean) and torch.isfinite(student.grad).all()


@pytest.mark.parametrize("kind", sorted(ORACLES))
def test_an_empty_mask_is_zero_and_still_has_a_gradient(kind):
    about = example()
    values = divergence_of({**about, "mask": about["mask"] * 0}, kind=kind)
    values.sum().backward()
    assert (values == 0).all() and (about["student"].grad == 0).all()


rows = st.lists(st.one_of(st.floats(-1e4, 1e4), st.sampled_from([-math.inf, 0.0, 300.0])), min_size=3, max_size=3)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(ORACLES)), rows, rows, st.sampled_from([torch.float32, torch.float64]))
def test_wild_logits_give_finite_divergences_of_the_right_sign(kind, own, other, dtype):
    """Impossible words (−inf) included, as long as one word is possible."""
    own, other = ([0.0, *values] for values in (own, other))
    student = torch.tensor([[own]], dtype=dtype).requires_grad_()
    teacher = torch.tensor([[other]], dtype=dtype)
    value = full_vocabulary(student, teacher, lambda x: x, lambda x: x, torch.ones(1, 1), kind=kind)
    value.sum().backward()
    most = math.log(2) if kind == "jsd" else math.inf
    assert math.isfinite(value.item()) and -1e-5 <= value.item() <= most * (1 + 1e-6)
    assert torch.isfinite(student.grad).all()


@pytest.mark.parametrize("kind", sorted(ORACLES))
def test_equal_distributions_do_not_diverge(kind):
    same = drawn(0, 1, 4, 6)
    measure = partial(full_vocabulary, student_head=lambda x: x, teacher_head=lambda x: x, mask=torch.ones(1, 4))
    assert measure(same, same + 3.0, kind=kind).abs().max() < 1e-15


def test_half_precision_is_widened():
    """bfloat16 heads: the softmax is in float32."""
    student, teacher = drawn(0, 1, 4, 6).bfloat16(), drawn(1, 1, 4, 6).bfloat16()
    value = full_vocabulary(student, teacher, lambda x: x, lambda x: x, torch.ones(1, 4), kind="reverse")
    exact = full_vocabulary(
        student.double(), teacher.double(), lambda x: x, lambda x: x, torch.ones(1, 4), kind="reverse"
    )
    assert value.dtype == torch.float32
    torch.testing.assert_close(value.double(), exact, rtol=1e-5, atol=1e-6)
