"""``rlsd``: the teacher reweights each token's advantage instead of adding a loss.

    A_t = A · [ (1 − μ) + μ · clip( exp(sign(A)·Δ), 1 − ε, 1 + ε ) ]

Δ is of the rollout-time student. μ = 0.5 decays to 0 over the first 100 steps as released; ε = 0.2. At
μ = 0 it is ``grpo``, bit for bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdar_cli.objectives import grpo
from sdar_cli.objectives.gap import token_gap
from sdar_cli.objectives.objective import Needs, Objective

if TYPE_CHECKING:
    from torch import Tensor

    from sdar_cli.objectives.objective import Tokens
    from sdar_cli.objectives.settings import Settings

MOST = 20.0
"""|Δ| beyond which exp is not asked: the clip has long decided."""


def reweigh(tokens: Tokens, settings: Settings) -> tuple[Tensor, Tensor]:
    """Advantages (B, T) after reweighting, and the gap; no gradient."""
    gap = token_gap(tokens.old.detach(), tokens.teacher, tokens.mask)
    low, high = 1 - settings.weight_clip, 1 + settings.weight_clip
    weight = (tokens.advantages.sign() * gap).clamp(-MOST, MOST).exp().clamp(low, high)
    return tokens.advantages * ((1 - settings.mu) + settings.mu * weight), gap


def teaches(settings: Settings) -> bool:
    return settings.mu > 0


OBJECTIVE = Objective(
    name="rlsd",
    formula="L_GRPO with A·[(1−μ) + μ·clip(exp(sign(A)·Δ), 1±ε)]",
    source="reinforcement learning with self-distillation, as released with arXiv 2605.15155",
    reweigh=reweigh,
    settings=grpo.OBJECTIVE.settings | {"teacher", "credit.mu", "credit.schedule", "credit.clip"},
    teaches=teaches,
    needs=lambda settings: Needs(teacher=teaches(settings)),
)
