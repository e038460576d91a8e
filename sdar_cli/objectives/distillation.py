"""The gated on-policy self-distillation term of SDAR (arXiv 2605.15155).

    L_distill = λ · mean_m( sg(g) · (logp_T − logp_S) )

With g and logp_T detached its gradient is −λ·g·∇logp_S / n on each of the n response tokens of the
optimiser update: it only ever raises log-probabilities, those that the gate selects the most.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sdar_cli.objectives.gates import GATES

if TYPE_CHECKING:
    from torch import Tensor

FLOOR = -1e4
"""Log-probabilities are clamped here, so that an underflow to −inf is a large gap and not a NaN."""


@dataclass(frozen=True, slots=True)
class Distillation:
    """The term and what it is made of."""

    loss: Tensor
    """Scalar, to be added to the policy loss of the same micro-batch."""
    gap: Tensor
    """Δ = logp_T − sg(logp_S), (B, T), 0 where masked; no gradient."""
    gate: Tensor
    """g, (B, T), 0 where masked; no gradient."""


def gated_distillation(
    student: Tensor,
    teacher: Tensor,
    mask: Tensor,
    normaliser: Tensor | float,
    *,
    coef: float,
    gate: str,
    beta: float,
) -> Distillation:
    """L_distill of one micro-batch.

    Args:
        student: log πθ(y_t | s_t), (B, T), with its gradient.
        teacher: log π(y_t | s_t⁺), (B, T); detached here.
        mask: (B, T), 1 on tokens that the policy wrote. Masked positions are selected away, never
            multiplied, so an infinity there cannot reach the loss.
        normaliser: response tokens of the whole optimiser update, every micro-batch and every rank
            (divided by the number of ranks when gradients are averaged over them).
        coef: λ.
        gate: a key of ``GATES``.
        beta: the gate's sharpness, 1 / temperature.

    An empty mask gives loss 0 and gradient 0.
    """
    selected = mask.bool()
    student = student.masked_fill(~selected, 0.0).clamp(min=FLOOR)
    teacher = teacher.detach().masked_fill(~selected, 0.0).clamp(min=FLOOR)
    gap = teacher - student.detach()
    weight = GATES[gate](gap, beta).masked_fill(~selected, 0.0)
    loss = coef * (weight * (teacher - student)).sum() / normaliser
    return Distillation(loss=loss, gap=gap, gate=weight)
