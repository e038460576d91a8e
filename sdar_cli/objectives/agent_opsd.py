"""``agent_opsd``: turn-level credit from how a teacher's belief in success moves (arXiv 2608.05987).

    e_k = Σ_{t in turn k} Δ_t        evidence of a turn, Δ of the rollout-time student
    c_k = γ·c_{k−1} + e_k            c before the first turn is 0
    B_k = σ(logit B_0 + c_k)         B_0: the group's success rate, clamped to [1/2G, 1 − 1/2G]
    q_k = sign(A)·(B_k − B_{k−1})    z-scored over all turns of the group (standard deviation 0: z = 0)
    A_k = A · [ (1 − μ) + μ · clip(1 + b·z_k, 1 − b, 1 + b) ]

μ = 0.5, b = 0.2, γ = 0.95. At μ = 0 it is ``grpo``, bit for bit. Fines are taken off afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sdar_cli.objectives import grpo
from sdar_cli.objectives.advantages import group_advantages, group_baseline, groups_of
from sdar_cli.objectives.gap import FLOOR
from sdar_cli.objectives.objective import Needs, Objective

if TYPE_CHECKING:
    from torch import Tensor

    from sdar_cli.objectives.objective import Trajectory
    from sdar_cli.objectives.settings import Settings


def advantages(trajectories: Sequence[Trajectory], settings: Settings) -> list[list[float]]:
    """A value for every turn of every trajectory."""
    if not teaches(settings):
        return group_baseline(trajectories, settings)
    out: list[list[float]] = [[] for _ in trajectories]
    for members in groups_of(trajectories):
        own = [trajectories[i] for i in members]
        shared = group_advantages([t.reward for t in own])
        rate = clamped_rate(sum(t.won for t in own), len(own))
        moves = [_sign(a) * move for t, a in zip(own, shared, strict=True) for move in belief_moves(t, rate, settings)]
        scores = iter(_zscores(moves))
        b, mu = settings.weight_clip, settings.mu
        for i, t, a in zip(members, own, shared, strict=True):
            weights = [(1 - mu) + mu * min(max(1 + b * next(scores), 1 - b), 1 + b) for _ in t.fines]
            out[i] = [a * w - fine for w, fine in zip(weights, t.fines, strict=True)]
    return out


def belief_moves(trajectory: Trajectory, rate: float, settings: Settings) -> list[float]:
    """B_k − B_{k−1} of every turn; ``rate`` is B_0."""
    prior = math.log(rate / (1 - rate))
    belief, carried, out = rate, 0.0, []
    for teacher, old in zip(trajectory.teacher, trajectory.old, strict=True):
        carried = settings.gamma * carried + _evidence(teacher, old)
        after = _sigmoid(prior + carried)
        out.append(after - belief)
        belief = after
    return out


def _evidence(teacher: Tensor, old: Tensor) -> float:
    return float((teacher.clamp(min=FLOOR).double() - old.clamp(min=FLOOR).double()).sum())


def clamped_rate(wins: int, size: int) -> float:
    """A group's success rate, at least 1/2G from both ends."""
    return min(max(wins / size, 1 / (2 * size)), 1 - 1 / (2 * size))


def _zscores(values: Sequence[float]) -> list[float]:
    """Population standard deviation; all 0 where it is 0."""
    n = len(values)
    mean = sum(values) / n if n else 0.0
    std = math.sqrt(sum((v - mean) ** 2 for v in values) / n) if n else 0.0
    return [(v - mean) / std if std > 1e-12 else 0.0 for v in values]


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def _sign(x: float) -> int:
    return (x > 0) - (x < 0)


def teaches(settings: Settings) -> bool:
    return settings.mu > 0


OBJECTIVE = Objective(
    name="agent_opsd",
    formula="L_GRPO with A·[(1−μ) + μ·clip(1 + b·z, 1±b)], z from the teacher's belief by turn",
    source="arXiv 2608.05987",
    advantages=advantages,
    settings=grpo.OBJECTIVE.settings - {"policy.advantage"} | {"teacher", "credit"},
    teaches=teaches,
    needs=lambda settings: Needs(teacher=teaches(settings), old=teaches(settings)),
)
