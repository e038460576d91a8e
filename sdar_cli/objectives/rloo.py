"""``rloo``: REINFORCE with a leave-one-out baseline.

    A_i = R'_i − mean_{j≠i} R'_j,   R'_i = R_i − kl_coef · Σ_t (logp_old − logp_ref)
    L = −mean_m( A · logp_S )

No ratio, no clipping, no division by a standard deviation; the KL is part of the reward (k1, whole
trajectory). A group of one has A = 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sdar_cli.objectives.advantages import groups_of
from sdar_cli.objectives.objective import Needs, Objective
from sdar_cli.objectives.penalised import penalised_return

if TYPE_CHECKING:
    from sdar_cli.objectives.objective import Trajectory
    from sdar_cli.objectives.settings import Settings


def advantages(trajectories: Sequence[Trajectory], settings: Settings) -> list[list[float]]:
    """A value for every turn of every trajectory, the same within it but for fines."""
    out: list[list[float]] = [[] for _ in trajectories]
    for members in groups_of(trajectories):
        returns = [penalised_return(trajectories[i], settings.kl_coef) for i in members]
        total, n = sum(returns), len(returns)
        for i, value in zip(members, returns, strict=True):
            own = value - (total - value) / (n - 1) if n > 1 else 0.0
            out[i] = [own - fine for fine in trajectories[i].fines]
    return out


OBJECTIVE = Objective(
    name="rloo",
    formula="−mean(A·logp_S), A = R' − mean of the others' R', R' = R − kl_coef·Σ k1",
    source="Ahmadian et al. 2024, arXiv 2402.14740, eq. 8",
    advantages=advantages,
    ratio=False,
    kl_in_reward=True,
    needs=lambda settings: Needs(old=settings.kl_coef > 0, reference=settings.kl_coef > 0),
)
