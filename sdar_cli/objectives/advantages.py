"""Baselines: from a rollout's returns to an advantage for each turn.

Every function takes all trainable trajectories of the step and returns, for each, a value for each of its
turns; a turn's fine (invalid actions) is taken off its own value, in advantage units.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sdar_cli.objectives.objective import Trajectory
    from sdar_cli.objectives.settings import Settings

EPSILON = 1e-4
"""Added to a standard deviation before it divides."""


def group_baseline(trajectories: Sequence[Trajectory], settings: Settings) -> list[list[float]]:
    """GRPO's (arXiv 2402.03300, eq. 4): over trajectories, or over turns as SDAR's released code has it."""
    out: list[list[float]] = [[] for _ in trajectories]
    for members in groups_of(trajectories):
        own = [trajectories[i] for i in members]
        if settings.statistics == "turn":
            values = turn_advantages([[t.reward - fine for fine in t.fines] for t in own])
        else:
            shared = group_advantages([t.reward for t in own])
            values = [[a - fine for fine in t.fines] for a, t in zip(shared, own, strict=True)]
        for i, value in zip(members, values, strict=True):
            out[i] = value
    return out


def groups_of(trajectories: Sequence[Trajectory]) -> list[list[int]]:
    """Indices of each group's trajectories."""
    groups: dict[int, list[int]] = defaultdict(list)
    for index, trajectory in enumerate(trajectories):
        groups[trajectory.group].append(index)
    return list(groups.values())


def group_advantages(returns: Sequence[float]) -> list[float]:
    """``A_i = (R_i − mean R) / (std R + ε)`` over one group, sample standard deviation.

    A group without variance, or of one episode, carries no signal: all its advantages are 0.
    """
    n = len(returns)
    if n < 2 or max(returns) == min(returns):
        return [0.0] * n
    mean = sum(returns) / n
    std = (sum((r - mean) ** 2 for r in returns) / (n - 1)) ** 0.5
    return [(r - mean) / (std + EPSILON) for r in returns]


def turn_advantages(scores: Sequence[Sequence[float]]) -> list[list[float]]:
    """The released code's rule: mean and standard deviation over all *turns* of the group.

    Args:
        scores: for every episode of one group, a score for each of its turns: the episode's return,
            less the penalty where that turn was invalid. Long episodes weigh more.

    A group with a single turn keeps its raw score, as released.
    """
    flat = [s for episode in scores for s in episode]
    if len(flat) < 2:
        return [list(episode) for episode in scores]
    mean = sum(flat) / len(flat)
    std = (sum((s - mean) ** 2 for s in flat) / (len(flat) - 1)) ** 0.5
    if max(flat) == min(flat):
        return [[0.0] * len(episode) for episode in scores]
    return [[(s - mean) / (std + EPSILON) for s in episode] for episode in scores]
