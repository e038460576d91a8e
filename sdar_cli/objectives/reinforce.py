"""``reinforce``: the plain policy gradient with a baseline and a scale from the whole batch.

    A_i = (R_i − mean R) / (std R + ε) over all trajectories of the step,   L = −mean_m( A · logp_S ) + kl_coef · k3

No ratio, no clipping, no groups: an easy task's episodes all count as good.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sdar_cli.objectives.advantages import group_advantages
from sdar_cli.objectives.objective import Objective

if TYPE_CHECKING:
    from sdar_cli.objectives.objective import Trajectory
    from sdar_cli.objectives.settings import Settings


def advantages(trajectories: Sequence[Trajectory], settings: Settings) -> list[list[float]]:
    """A value for every turn of every trajectory, the same within it but for fines."""
    shared = group_advantages([t.reward for t in trajectories])
    return [[a - fine for fine in t.fines] for a, t in zip(shared, trajectories, strict=True)]


OBJECTIVE = Objective(
    name="reinforce",
    formula="−mean(A·logp_S) + k3, A = (R − batch mean) / batch std",
    source="Williams 1992, Machine Learning 8, eq. 11, with the batch's mean and deviation",
    advantages=advantages,
    whole_batch=True,
    ratio=False,
)
