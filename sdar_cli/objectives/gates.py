"""Gates: how much of the distillation term each token receives. One function a gate, one dict.

Shapes: (B, T), as everywhere in this package. The caller detaches what no gradient shall pass through.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

Gate = Callable[["Tensor", "Tensor", float], "Tensor"]
"""(Δ = logp_T − logp_S, h = entropy / log V, β) → g."""


def gap_gate(gap: Tensor, entropy: Tensor, beta: float) -> Tensor:
    """g = σ(β·Δ) (SDAR, arXiv 2605.15155)."""
    return (beta * gap).sigmoid()


def entropy_gate(gap: Tensor, entropy: Tensor, beta: float) -> Tensor:
    """g = σ(β·h), between ½ and σ(β): where the student hesitates (SDAR's ablation)."""
    return (beta * entropy).sigmoid()


def soft_or_gate(gap: Tensor, entropy: Tensor, beta: float) -> Tensor:
    """g = σ(β·[1 − (1 − h)(1 − Δ)]): hesitation or endorsement (SDAR's ablation)."""
    return (beta * (1 - (1 - entropy) * (1 - gap))).sigmoid()


def no_gate(gap: Tensor, entropy: Tensor, beta: float) -> Tensor:
    """g = 1: every token counts fully, and β has no part in it."""
    return gap.new_ones(gap.shape)


GATES: dict[str, Gate] = {"gap": gap_gate, "entropy": entropy_gate, "soft_or": soft_or_gate, "none": no_gate}

SEE_GAP = frozenset({"gap", "soft_or"})
"""Gates that look at the gap; ``gate.normalise`` is about them."""
