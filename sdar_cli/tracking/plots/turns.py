"""Signals by turn index, out of a run's rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sdar_cli.tracking.plots.canvas import Row, present, whole_numbers

if TYPE_CHECKING:
    from matplotlib.axis import Axis

LAST = 20
"""The index that later turns share (``MAX_TURNS_LOGGED`` of training/signals.py)."""
AXIS = "turn (the first is 0)"

SIGNALS = {"gap": "mean gap Δ (nats a token)", "gate": "mean gate g"}
"""Metric prefix → what it is; either may be missing."""


def turn_count(rows: Sequence[Row], signal: str) -> int:
    """One more than the highest turn index that was seen; 0 where there is none."""
    turns = range(LAST, -1, -1)
    return next((turn + 1 for turn in turns if present(rows, mean_name(signal, turn))), 0)


def mean_name(signal: str, turn: int) -> str:
    return f"{signal}/turn_{turn:02d}/mean"


def label_turns(axis: Axis) -> None:
    """Whole numbers, and ``20+`` for the index that later turns share."""

    def label(value: Any, position: int | None = None) -> str:
        return f"{LAST}+" if round(value) == LAST else f"{value:.0f}"

    whole_numbers(axis)
    axis.set_major_formatter(label)
