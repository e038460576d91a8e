"""``ppo_kl``: PPO's clipped ratio on a reward that carries a per-token KL penalty.

    r_t = −kl_coef · (logp_old − logp_ref)_t, plus R on the last token;   G_t = Σ_{s≥t} r_s
    A_t = G_t − mean_j G_j over the group, G_j the whole return of trajectory j
    L = −mean_m( min( ρ·A, clip(ρ, 1 ± ε)·A ) ),   ρ = exp(logp_S − logp_old)

No critic: the group's mean return is the baseline, γ = 1, and A is not divided by a deviation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sdar_cli.objectives.advantages import groups_of
from sdar_cli.objectives.objective import Needs, Objective
from sdar_cli.objectives.penalised import penalised_return, token_kl

if TYPE_CHECKING:
    from torch import Tensor

    from sdar_cli.objectives.objective import Trajectory
    from sdar_cli.objectives.settings import Settings


def advantages(trajectories: Sequence[Trajectory], settings: Settings) -> list[list[float | Tensor]]:
    """A tensor (T_k,) for every turn of every trajectory; plain values where kl_coef is 0."""
    out: list[list[float | Tensor]] = [[] for _ in trajectories]
    for members in groups_of(trajectories):
        returns = [penalised_return(trajectories[i], settings.kl_coef) for i in members]
        baseline = sum(returns) / len(returns)
        for i in members:
            ahead = _returns_to_go(trajectories[i], settings.kl_coef)
            fines = trajectories[i].fines
            out[i] = [value - baseline - fine for value, fine in zip(ahead, fines, strict=True)]
    return out


def _returns_to_go(trajectory: Trajectory, kl_coef: float) -> list[float | Tensor]:
    if not kl_coef:
        return [trajectory.reward for _ in trajectory.fines]
    later, out = trajectory.reward, []
    for turn in reversed(token_kl(trajectory)):
        rewards = -kl_coef * turn.double()
        ahead = rewards.flip(0).cumsum(0).flip(0) + later
        out.append(ahead)
        later += float(rewards.sum())
    return out[::-1]


OBJECTIVE = Objective(
    name="ppo_kl",
    formula="clipped ratio, A = G_t − group mean, rewards less kl_coef·k1 a token",
    source="Schulman et al. 2017, arXiv 1707.06347, eq. 7; Ziegler et al. 2019, arXiv 1909.08593, eq. 2",
    advantages=advantages,
    kl_in_reward=True,
    settings=frozenset({"policy.clip", "policy.dual_clip"}),
    needs=lambda settings: Needs(old=settings.kl_coef > 0, reference=settings.kl_coef > 0),
)
