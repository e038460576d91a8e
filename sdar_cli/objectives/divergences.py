"""Divergences over the whole vocabulary at each response token, without ever holding (B, T, V).

    reverse   KL(S ‖ T)        mode-seeking
    forward   KL(T ‖ S)        mode-covering
    jsd       ½·KL(S ‖ M) + ½·KL(T ‖ M),  M = (S + T) / 2        at most log 2

S and T are the distributions of student and teacher at the sampling temperature. Logits exist for one chunk
of tokens at a time; the backward pass computes them again (``torch.utils.checkpoint``), so the peak is a
few times chunk × V.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from sdar_cli.objectives.gap import FLOOR

if TYPE_CHECKING:
    from torch import Tensor

Head = Callable[["Tensor"], "Tensor"]
"""Hidden states (N, H) → logits (N, V)."""

CHUNK = 128
"""Tokens whose logits exist at once."""


def reverse(student: Tensor, teacher: Tensor) -> Tensor:
    return (student.exp() * (student - teacher)).sum(-1)


def forward(student: Tensor, teacher: Tensor) -> Tensor:
    return (teacher.exp() * (teacher - student)).sum(-1)


def jsd(student: Tensor, teacher: Tensor) -> Tensor:
    mixture = student.logaddexp(teacher) - math.log(2)
    return (reverse(student, mixture) + reverse(teacher, mixture)) / 2


DIVERGENCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"reverse": reverse, "forward": forward, "jsd": jsd}
"""Log-probabilities (N, V) of student and teacher → (N,), in nats."""


def full_vocabulary(
    student: Tensor,
    teacher: Tensor,
    student_head: Head,
    teacher_head: Head,
    mask: Tensor,
    *,
    kind: str,
    temperature: float = 1.0,
    chunk: int = CHUNK,
) -> Tensor:
    """The divergence at every response token, (B, T), 0 where masked.

    Args:
        student: last hidden states that predict each token, (B, T, H), with their gradient.
        teacher: the same of the teacher, (B, T, H'); detached here.
        student_head, teacher_head: hidden states to logits; the teacher's gets no gradient.
        mask: (B, T), 1 on tokens that the policy wrote; no logits are computed elsewhere.
        temperature: what logits are divided by.
        chunk: tokens at a time.
    """
    import torch
    from torch.utils.checkpoint import checkpoint

    measure = DIVERGENCES[kind]

    def piece(own: Tensor, other: Tensor) -> Tensor:
        log_student = _log_softmax(student_head(own), temperature)
        with torch.no_grad():
            log_teacher = _log_softmax(teacher_head(other), temperature)
        return measure(log_student, log_teacher)

    chosen = mask.bool()
    own, other = student[chosen], teacher.detach()[chosen]
    pieces = [
        checkpoint(piece, a, b, use_reentrant=False, preserve_rng_state=False)
        for a, b in zip(own.split(chunk), other.split(chunk), strict=True)
    ]
    values = torch.cat(pieces) if pieces else student.sum(dim=(-1))[chosen].float()
    return values.new_zeros(mask.shape).masked_scatter(chosen, values)


def _log_softmax(logits: Tensor, temperature: float) -> Tensor:
    """In float32 at least, floored so that 0 · ∞ cannot occur."""
    import torch

    wide = logits if logits.dtype == torch.float64 else logits.float()
    return (wide / temperature).log_softmax(-1).clamp(min=FLOOR)
