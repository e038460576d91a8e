"""Gates: how much of the distillation term each token receives. One function a gate, one dict.

Shapes: (B, T), as everywhere in this package. A gate carries no gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def gap_gate(gap: Tensor, beta: float) -> Tensor:
    """g = σ(β·Δ) (SDAR, arXiv 2605.15155). ``gap`` is Δ = logp_T − sg(logp_S)."""
    return (beta * gap.detach()).sigmoid()


def no_gate(gap: Tensor, beta: float) -> Tensor:
    """g = 1: every token counts fully, and β has no part in it."""
    return gap.new_ones(gap.shape)


GATES: dict[str, Callable[[Tensor, float], Tensor]] = {"gap": gap_gate, "none": no_gate}
