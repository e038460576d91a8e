"""What must be known of a whole rollout's log-probs before its first update; the same on every rank."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from sdar_cli.objectives.gap import token_gap

if TYPE_CHECKING:
    from torch import Tensor

    from sdar_cli.training.rows import Row

Scores = Mapping[str, Sequence["Tensor"]]
"""(T_i,) vectors a row, under the names that ``Scorer`` gives them."""
Gather = Callable[[list], list]
"""A list's items of every rank, in the order of the ranks."""


def gap_moments(rows: Sequence[Row], scores: Scores, gather: Gather = list) -> tuple[float, float]:
    """Mean and standard deviation of Δ over the rollout's response tokens, in nats, for a z-scored gate."""
    values = torch.cat([*_gaps(rows, scores, "teacher_logps"), torch.zeros(0, dtype=torch.float64)])
    parts = gather([(len(values), float(values.sum()), float((values**2).sum()))])
    count, total, squares = (sum(column) for column in zip(*parts, strict=True))
    mean = total / max(1, count)
    return mean, math.sqrt(max(0.0, squares / max(1, count) - mean**2))


def reference_kl(rows: Sequence[Row], scores: Scores, gather: Gather = list) -> dict[str, float]:
    """The k3 estimate at rollout time, where the KL is in the reward and TRL's loss does not see it."""
    if "ref_logps" not in scores:
        return {}
    total, count = 0.0, 0
    for gaps in _gaps(rows, scores, "ref_logps"):
        total += float((gaps.exp() - 1 - gaps).sum())
        count += len(gaps)
    parts = gather([(total, count)])
    return {"policy/kl": sum(t for t, _ in parts) / max(1, sum(n for _, n in parts))}


def _gaps(rows: Sequence[Row], scores: Scores, other: str) -> Iterator[Tensor]:
    """Of each row's response tokens: log-prob under ``other`` less the rollout-time student's."""
    for row, old, theirs in zip(rows, scores["old_logps"], scores[other], strict=True):
        mask = torch.tensor(row.mask)
        yield token_gap(old, theirs, mask).double()[mask.bool()]
