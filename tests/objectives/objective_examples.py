"""Tokens and trajectories to try objectives on, and numbers wild enough to break them."""

from __future__ import annotations

import math

import torch
from hypothesis import strategies as st
from torch import Tensor

from sdar_cli.objectives.objective import Tokens, Trajectory

WILD_LOGP = st.one_of(st.floats(-50, 0), st.sampled_from([0.0, -1e-30, -1e4, -1e30, -math.inf]), st.floats(-1e-3, 0.0))
"""Log-probabilities that a model may give, underflow included."""
BEHIND_THE_MASK = (math.nan, math.inf, -math.inf)


def tokens(student: Tensor, teacher: Tensor, mask: Tensor | None = None, **about) -> Tokens:
    """Tokens of one micro-batch, its own tokens being all that there are; tensors are (B, T)."""
    mask = torch.ones(student.shape, dtype=torch.long) if mask is None else mask
    given = {
        "old": student.detach(),
        "turns": torch.zeros(student.shape, dtype=torch.long),
        "advantages": torch.zeros(student.shape, dtype=student.dtype),
        "normaliser": max(1, int(mask.sum())),
    }
    return Tokens(student=student, teacher=teacher, mask=mask, **given | about)


def drawn(seed: int = 0, rows: int = 3, length: int = 5) -> dict[str, Tensor]:
    """Log-probs of student, teacher and rollout-time student in float64, a mask, turns, entropies."""
    draw = torch.Generator().manual_seed(seed)

    def uniform() -> Tensor:
        return torch.rand(rows, length, generator=draw, dtype=torch.float64)

    return {
        "student": -3 * uniform(),
        "teacher": -3 * uniform(),
        "old": -3 * uniform(),
        "entropy": uniform(),
        "mask": (uniform() > 0.3).long(),
        "turns": torch.randint(0, 3, (rows, length), generator=draw).sort(dim=1).values,
        "advantages": 2 * uniform() - 1,
    }


def flat(*columns: Tensor) -> list[tuple[float, ...]]:
    """The tensors' entries side by side, row after row."""
    return list(zip(*(column.flatten().tolist() for column in columns), strict=True))


def logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def trajectory(group: int, reward: float, turns: list[list[tuple[float, float, float]]], **about) -> Trajectory:
    """An episode from (rollout-time student, teacher, reference) of every token of every turn."""
    columns = [[torch.tensor([token[i] for token in turn], dtype=torch.float64) for turn in turns] for i in range(3)]
    given = {"won": reward > 0, "fines": [0.0] * len(turns), "old": columns[0], "teacher": columns[1]}
    return Trajectory(group=group, reward=reward, **given | {"reference": columns[2]} | about)


def drawn_trajectories(seed: int, sizes: tuple[int, ...] = (4, 3, 1)) -> list[Trajectory]:
    """Groups of these sizes: one to four turns of zero to five tokens, some fined, mixed order."""
    draw = torch.Generator().manual_seed(seed)

    def number(low: int, high: int) -> int:
        return int(torch.randint(low, high, (1,), generator=draw))

    out = []
    for group, size in enumerate(sizes):
        for _ in range(size):
            turns = [
                [tuple((-2 * torch.rand(3, generator=draw)).tolist()) for _ in range(number(0, 6))]
                for _ in range(number(1, 5))
            ]
            fines = [0.1 * number(0, 2) for _ in turns]
            out.append(trajectory(group, float(number(0, 3)), turns, fines=fines))
    order = torch.randperm(len(out), generator=draw).tolist()
    return [out[i] for i in order]
