"""Returns with the KL to the reference taken off, for objectives that keep it in the reward."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdar_cli.objectives.gap import FLOOR

if TYPE_CHECKING:
    from torch import Tensor

    from sdar_cli.objectives.objective import Trajectory


def token_kl(trajectory: Trajectory) -> list[Tensor]:
    """k1 = logp_old − logp_ref of every response token, a tensor (T_k,) a turn (Schulman 2020)."""
    return [
        old.clamp(min=FLOOR) - reference.clamp(min=FLOOR)
        for old, reference in zip(trajectory.old, trajectory.reference, strict=True)
    ]


def penalised_return(trajectory: Trajectory, kl_coef: float) -> float:
    """R − kl_coef · Σ_t k1 over the whole trajectory."""
    if not kl_coef:
        return trajectory.reward
    return trajectory.reward - kl_coef * sum(float(turn.double().sum()) for turn in token_kl(trajectory))
