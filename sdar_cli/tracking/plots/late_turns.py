"""Gap and gate by turn index at the end of training: what the teacher still adds, and where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sdar_cli.tracking.plots.canvas import BLUE, GREEN, GREY, Row, blank, finite, share_axis
from sdar_cli.tracking.plots.turns import AXIS, SIGNALS, label_turns, mean_name, turn_count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"gap": BLUE, "gate": GREEN}


def late_turns(rows: Sequence[Row]) -> Figure | None:
    """Mean over the last quarter of the steps, and the standard deviation between steps."""
    chosen = [signal for signal in SIGNALS if turn_count(rows, signal)]
    if not chosen:
        return None
    late = _last_quarter(rows, chosen[0])
    figure, stack = blank(len(chosen), height=2.3 * len(chosen) + 0.3, sharex=True)
    for axes, signal in zip(stack, chosen, strict=True):
        _profile(axes, late, signal)
        axes.set_ylabel(SIGNALS[signal].replace(" (", "\n("))
    first, last = late[0]["step"], late[-1]["step"]
    over = f"step {last:.0f}" if first == last else f"mean and standard deviation over steps {first:.0f} to {last:.0f}"
    stack[0].set_title(f"By turn, {over}")
    stack[-1].set_xlabel(AXIS)
    label_turns(stack[-1].xaxis)
    return figure


def _last_quarter(rows: Sequence[Row], signal: str) -> list[Row]:
    shown = [row for row in rows if turn_count([row], signal)]
    return shown[3 * len(shown) // 4 :]


def _profile(axes: Axes, rows: Sequence[Row], signal: str) -> None:
    turns, means, spreads = [], [], []
    for turn in range(turn_count(rows, signal)):
        values = [row[mean_name(signal, turn)] for row in rows if finite(row, mean_name(signal, turn))]
        if values:
            turns.append(turn)
            means.append(np.mean(values))
            spreads.append(np.std(values))
    colour = COLOURS[signal]
    axes.errorbar(turns, means, spreads, color=colour, marker="o", markersize=4, linewidth=1.3, capsize=2.5)
    if signal == "gap":
        axes.axhline(0, color=GREY, linewidth=0.8)
    else:
        share_axis(axes, "")
