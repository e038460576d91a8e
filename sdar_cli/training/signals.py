"""What the gate saw in one step: gap and gate of every response token, summarised for metrics and traces."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    from sdar_cli.objectives.distillation import Distillation

MAX_TURNS_LOGGED = 20
"""Turn indices from here on share one metric, so that their number stays bounded."""


@dataclass(slots=True)
class Signals:
    """Collects flat arrays over tokens: gap Δ (nats), gate g in [0, 1], turn and episode indices."""

    _gap: list[np.ndarray] = field(default_factory=list)
    _gate: list[np.ndarray] = field(default_factory=list)
    _turn: list[np.ndarray] = field(default_factory=list)
    _episode: list[np.ndarray] = field(default_factory=list)

    def add(self, term: Distillation, mask: Tensor, turns: Tensor, episodes: list[int]) -> None:
        """Take one micro-batch: tensors of shape (B, T), and the episode of each of the B rows."""
        chosen = mask.bool().cpu().numpy()
        self._gap.append(term.gap.float().cpu().numpy()[chosen])
        self._gate.append(term.gate.float().cpu().numpy()[chosen])
        self._turn.append(turns.cpu().numpy()[chosen])
        self._episode.append(np.repeat(episodes, chosen.sum(axis=1)))

    def __bool__(self) -> bool:
        return any(len(part) for part in self._gap)

    def metrics(self) -> dict[str, float]:
        """Stable metric names: ``gap/…`` and ``gate/…``, overall and by turn. Active: g > 0.5."""
        if not self:
            return {}
        gap, gate, turn = map(np.concatenate, (self._gap, self._gate, self._turn))
        out = {
            "gap/mean": gap.mean(),
            "gap/std": gap.std(),
            "gap/negative": (gap < 0).mean(),
            "gate/mean": gate.mean(),
            "gate/active": (gate > 0.5).mean(),
        }
        turn = np.minimum(turn, MAX_TURNS_LOGGED)
        for index in np.unique(turn):
            own = turn == index
            name = f"turn_{index:02d}"
            out |= {
                f"gap/{name}/mean": gap[own].mean(),
                f"gap/{name}/negative": (gap[own] < 0).mean(),
                f"gate/{name}/mean": gate[own].mean(),
                f"gate/{name}/active": (gate[own] > 0.5).mean(),
            }
        return {name: float(value) for name, value in out.items()}

    def by_turn(self) -> dict[tuple[int, int], dict[str, float]]:
        """(episode, turn) → mean gap and gate, for traces."""
        if not self:
            return {}
        gap, gate, turn, episode = map(np.concatenate, (self._gap, self._gate, self._turn, self._episode))
        cells: dict[tuple[int, int], list[int]] = defaultdict(list)
        for position, key in enumerate(zip(episode.tolist(), turn.tolist(), strict=True)):
            cells[key].append(position)
        return {
            key: {"gap_mean": float(gap[own].mean()), "gate_mean": float(gate[own].mean())}
            for key, own in cells.items()
        }
