"""From a rollout's returns and log-probs to the advantage of every token, by the objective's own rule."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from sdar_cli.objectives.objective import Objective, Trajectory
from sdar_cli.objectives.settings import Settings
from sdar_cli.rollout.episode import Episode
from sdar_cli.training.rows import Row

if TYPE_CHECKING:
    from torch import Tensor

Gather = Callable[[list], list]
"""A list's items of every rank, in the order of the ranks."""


def assign_advantages(
    rows: Sequence[Row],
    episodes: Sequence[Episode],
    objective: Objective,
    settings: Settings,
    *,
    penalty: float,
    scores: Mapping[str, Sequence[Tensor]],
    gather: Gather = list,
    rank: int = 0,
) -> None:
    """Write ``advantages`` into the rows.

    Args:
        penalty: taken off an invalid turn's own tokens, in advantage units.
        scores: (T_i,) vectors a row, under the names that ``Scorer`` gives them.
        gather, rank: over ranks, for objectives that look at the whole batch.
    """
    own = _rows_by_episode(rows, episodes)
    if not objective.policy:
        return
    trajectories = [
        _trajectory(episodes[index], [rows[i] for i in indices], indices, penalty, scores)
        for index, indices in own.items()
    ]
    for indices, values in zip(own.values(), _values(trajectories, objective, settings, gather, rank), strict=True):
        for i in indices:
            _write(rows[i], values)


def _values(
    trajectories: list[Trajectory], objective: Objective, settings: Settings, gather: Gather, rank: int
) -> list[list[float | Tensor]]:
    if not objective.whole_batch:
        return objective.advantages(trajectories, settings)
    shares = gather([trajectories])
    before = sum(map(len, shares[:rank]))
    everyone = [trajectory for share in shares for trajectory in share]
    return objective.advantages(everyone, settings)[before : before + len(trajectories)]


def _rows_by_episode(rows: Sequence[Row], episodes: Sequence[Episode]) -> dict[int, list[int]]:
    """Of all trainable episodes: one without a row counts in its group's statistics all the same."""
    own: dict[int, list[int]] = {index: [] for index, episode in enumerate(episodes) if episode.trainable}
    for i, row in enumerate(rows):
        own[row.episode].append(i)
    return own


def _trajectory(
    episode: Episode, rows: list[Row], indices: list[int], penalty: float, scores: Mapping[str, Sequence[Tensor]]
) -> Trajectory:
    def by_turn(name: str) -> list[Tensor] | None:
        if name not in scores:
            return None
        vectors = [scores[name][i] for i in indices]
        return [_tokens_of(turn.index, rows, vectors) for turn in episode.turns]

    return Trajectory(
        group=episode.group,
        reward=episode.reward,
        won=episode.won,
        fines=[penalty * (turn.invalid is not None) for turn in episode.turns],
        old=by_turn("old_logps"),
        teacher=by_turn("teacher_logps"),
        reference=by_turn("ref_logps"),
    )


def _tokens_of(turn: int, rows: list[Row], vectors: list[Tensor]) -> Tensor:
    parts = [
        vector[[i for i, (m, k) in enumerate(zip(row.mask, row.turns, strict=True)) if m and k == turn]]
        for row, vector in zip(rows, vectors, strict=True)
        if turn in row.turns
    ]
    return torch.cat(parts) if parts else torch.zeros(0)


def _write(row: Row, values: Sequence[float | Tensor]) -> None:
    """One value a turn, or one a token; the k-th response token of a turn takes the k-th entry."""
    seen: dict[int, int] = defaultdict(int)
    lists = {k: values[k].tolist() for k in set(row.turns) if isinstance(values[k], torch.Tensor)}
    for i, (mask, turn) in enumerate(zip(row.mask, row.turns, strict=True)):
        if not mask:
            continue
        row.advantages[i] = lists[turn][seen[turn]] if turn in lists else values[turn]
        seen[turn] += 1
