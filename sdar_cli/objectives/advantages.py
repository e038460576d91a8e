"""Group-relative advantages (GRPO, arXiv 2402.03300, eq. 4; SDAR, arXiv 2605.15155)."""

from __future__ import annotations

from collections.abc import Sequence

EPSILON = 1e-4
"""Added to the group's standard deviation."""


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
