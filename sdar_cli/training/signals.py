"""What the gate saw in one step: gap and gate of every response token, summarised for metrics and traces.

    signals = Signals()
    signals.add(term, mask, turns, episodes)        # every micro-batch
    signals.metrics(gather)                         # the same numbers on every rank
    signals.by_turn()                               # of this rank's own episodes

No token is kept: a micro-batch is added to sums, counts and histograms of fixed size, which add up over
micro-batches and over ranks alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from sdar_cli.objectives.objective import Term

    Array = NDArray[np.float64]

MAX_TURNS_LOGGED = 20
"""Turn indices from here on share one metric, so that their number stays bounded."""
GATE_BINS = 10
SATURATED = 0.01
"""A gate below this, or above 1 − this, no longer depends on the gap."""
QUANTILES = {"p10": 0.1, "p50": 0.5, "p90": 0.9}

GAP_SCALE, GAP_WIDTH, GAP_REACH = 1e-4, 0.01, 2000
"""The gap's histogram: bins of equal width in asinh(Δ / scale), 0 in the middle of the middle one. Its
quantiles are off by at most 0.5 % of their value and 5e-7 nats; it reaches beyond ±10⁴ nats."""

Partial = dict[str, "Array"]
"""Sums of one rank; see ``Signals.partial``."""


@dataclass(slots=True)
class Signals:
    """Sums over the response tokens of one step, on this rank."""

    _sums: Partial = field(default_factory=lambda: {name: np.zeros(shape) for name, shape in _SHAPES.items()})
    _cells: dict[tuple[int, int], Array] = field(default_factory=dict)
    """(episode, turn) → tokens, sum of the gap, tokens with a gate, sum of the gate."""

    def add(self, term: Term, mask: Tensor, turns: Tensor, episodes: Sequence[int]) -> None:
        """Take one micro-batch: tensors of shape (B, T), and the episode of each of the B rows."""
        chosen = mask.bool().cpu().numpy()
        if not chosen.any():
            return
        gap = _flat(term.gap, chosen)
        gate = None if term.gate is None else _flat(term.gate, chosen)
        turn = turns.cpu().numpy()[chosen].astype(np.int64)
        row = np.nonzero(chosen)[0]
        with np.errstate(invalid="ignore", over="ignore"):
            self._add_gap(gap, np.minimum(turn, MAX_TURNS_LOGGED))
            if gate is not None:
                self._add_gate(gate, np.minimum(turn, MAX_TURNS_LOGGED))
            self._add_cells(gap, gate, turn, row, episodes)

    def __bool__(self) -> bool:
        return bool(self._sums["gap"][0])

    def copy(self) -> Signals:
        """What is added to one of the two is not in the other."""
        return Signals({name: values.copy() for name, values in self._sums.items()}, dict(self._cells))

    def partial(self) -> Partial:
        """This rank's sums as arrays of fixed shape: those of several ranks are added, name by name."""
        return self._sums

    def metrics(self, gather: Callable[[list[Partial]], list[Partial]] | None = None) -> dict[str, float]:
        """Stable metric names: ``gap/…`` and ``gate/…``, overall and by turn; empty where no token was added.

        ``gather`` maps a list of objects on each rank to the list of all ranks' objects (accelerate's
        ``gather_object``); every rank must then call this, also one without tokens. None: this rank alone.
        """
        own = [self.partial()]
        return summarise(own if gather is None else gather(own))

    def by_turn(self) -> dict[tuple[int, int], dict[str, float]]:
        """(episode, turn) → ``gap_mean`` and, where there is a gate, ``gate_mean``: for traces."""
        out = {}
        for key, (tokens, gap, gated, gate) in self._cells.items():
            out[key] = {"gap_mean": float(gap / tokens)} | ({"gate_mean": float(gate / gated)} if gated else {})
        return out

    def _add_gap(self, gap: Array, turn: NDArray[np.int64]) -> None:
        negative = gap < 0
        self._sums["gap"] += (len(gap), gap.sum(), np.square(gap).sum(), negative.sum())
        self._sums["gap_bins"] += _gap_bins(gap)
        self._sums["gap_turns"] += _by_turn(turn, gap, negative)

    def _add_gate(self, gate: Array, turn: NDArray[np.int64]) -> None:
        active = gate > 0.5
        saturated = (gate < SATURATED) | (gate > 1 - SATURATED)
        self._sums["gate"] += (len(gate), gate.sum(), active.sum(), saturated.sum())
        places = (GATE_BINS * gate[~np.isnan(gate)]).clip(0, GATE_BINS - 1).astype(np.int64)
        self._sums["gate_bins"] += np.bincount(places, minlength=GATE_BINS)
        self._sums["gate_turns"] += _by_turn(turn, gate, active)

    def _add_cells(
        self, gap: Array, gate: Array | None, turn: NDArray[np.int64], row: NDArray[np.int64], episodes: Sequence[int]
    ) -> None:
        width = int(turn.max()) + 1
        place = row * width + turn
        tokens = np.bincount(place)
        sums = np.zeros((len(tokens), 4))
        sums[:, 0], sums[:, 1] = tokens, np.bincount(place, gap)
        if gate is not None:
            sums[:, 2], sums[:, 3] = tokens, np.bincount(place, gate)
        for cell in np.nonzero(tokens)[0].tolist():
            key = (episodes[cell // width], cell % width)
            self._cells[key] = self._cells[key] + sums[cell] if key in self._cells else sums[cell]


def summarise(partials: Sequence[Partial]) -> dict[str, float]:
    """Metrics of all tokens that the partials counted. Active: g > 0.5; negative: Δ < 0; deviations are the
    population's; quantiles are the smallest value that so large a share does not exceed."""
    total = {name: np.sum([partial[name] for partial in partials], axis=0) for name in _SHAPES}
    tokens, gap, squares, negative = total["gap"].tolist()
    if not tokens:
        return {}
    mean = gap / tokens
    with np.errstate(invalid="ignore", over="ignore"):
        out = {
            "gap/mean": mean,
            "gap/std": float(np.sqrt(np.maximum(0.0, squares / tokens - np.square(mean)))),
            "gap/negative": negative / tokens,
        }
    if total["gap_bins"].any():
        out |= {f"gap/{name}": _quantile(total["gap_bins"], share) for name, share in QUANTILES.items()}
    out |= _of_turns("gap", "negative", total["gap_turns"])
    tokens, gate, active, saturated = total["gate"].tolist()
    if tokens:
        out |= {"gate/mean": gate / tokens, "gate/active": active / tokens, "gate/saturated": saturated / tokens}
        out |= {f"gate/bin_{place}": count / tokens for place, count in enumerate(total["gate_bins"].tolist())}
        out |= _of_turns("gate", "active", total["gate_turns"])
    return out


_SHAPES: dict[str, tuple[int, ...]] = {
    "gap": (4,),  # tokens, sum, sum of squares, tokens below 0
    "gap_bins": (2 * GAP_REACH + 1,),
    "gap_turns": (3, MAX_TURNS_LOGGED + 1),  # tokens, sum, tokens below 0
    "gate": (4,),  # tokens, sum, active, saturated
    "gate_bins": (GATE_BINS,),
    "gate_turns": (3, MAX_TURNS_LOGGED + 1),  # tokens, sum, active
}


def _flat(values: Tensor, chosen: NDArray[np.bool_]) -> Array:
    return values.detach().float().cpu().numpy()[chosen].astype(np.float64)


def _gap_bins(gap: Array) -> NDArray[np.int64]:
    places = np.rint(np.arcsinh(gap[~np.isnan(gap)] / GAP_SCALE) / GAP_WIDTH).clip(-GAP_REACH, GAP_REACH)
    return np.bincount(places.astype(np.int64) + GAP_REACH, minlength=2 * GAP_REACH + 1)


def _quantile(counts: Array, share: float) -> float:
    reached = np.cumsum(counts)
    place = int(np.searchsorted(reached, share * reached[-1])) - GAP_REACH
    return float(GAP_SCALE * np.sinh(GAP_WIDTH * place))


def _by_turn(turn: NDArray[np.int64], values: Array, flags: NDArray[np.bool_]) -> Array:
    length = MAX_TURNS_LOGGED + 1
    return np.stack([np.bincount(turn, weights, length) for weights in (None, values, flags)])


def _of_turns(signal: str, share: str, sums: Array) -> dict[str, float]:
    out = {}
    for turn, (tokens, total, flagged) in enumerate(sums.T.tolist()):
        if tokens:
            out[f"{signal}/turn_{turn:02d}/mean"] = total / tokens
            out[f"{signal}/turn_{turn:02d}/{share}"] = flagged / tokens
    return out
