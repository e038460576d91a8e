"""Gap and gate by turn index and step, as heat maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sdar_cli.tracking.plots.canvas import UNREACHED, Row, edges, finite, panels
from sdar_cli.tracking.plots.turns import SIGNALS, label_turns, mean_name, turn_count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def by_turn(rows: Sequence[Row]) -> Figure | None:
    """One panel a signal that there is: a column a step, a line a turn, grey where no episode came so far."""
    chosen = [signal for signal in SIGNALS if turn_count(rows, signal)]
    if not chosen:
        return None
    turns = max(turn_count(rows, signal) for signal in chosen)
    figure, stack = panels(len(chosen), height=len(chosen) * min(3.6, 2.0 + 0.1 * turns) + 0.4)
    for axes, signal in zip(stack, chosen, strict=True):
        _heat(figure, axes, rows, signal)
    return figure


def _heat(figure: Figure, axes: Axes, rows: Sequence[Row], signal: str) -> None:
    turns = range(turn_count(rows, signal))
    names = [mean_name(signal, turn) for turn in turns]
    shown = [row for row in rows if any(finite(row, name) for name in names)]
    cells = np.array([[row[name] if finite(row, name) else math.nan for row in shown] for name in names])
    steps = edges([row["step"] for row in shown])
    if signal == "gap":
        # A few outliers must not wash out all the rest: the scale ends where 98 % of the cells do.
        top = float(np.nanquantile(np.abs(cells), 0.98)) or 1.0
        about = {"cmap": "RdBu", "vmin": -top, "vmax": top}
    else:
        about = {"cmap": "viridis", "vmin": 0.0, "vmax": 1.0}
    image = axes.pcolormesh(steps, np.arange(len(turns) + 1) - 0.5, np.ma.masked_invalid(cells), **about)
    axes.set_facecolor(UNREACHED)
    axes.grid(False)
    axes.invert_yaxis()
    label_turns(axes.yaxis)
    missing = " (grey: not reached)" if np.isnan(cells).any() else ""
    axes.set(title=f"{signal.capitalize()} by turn{missing}", ylabel="turn")
    beyond = "both" if signal == "gap" and np.nanmax(np.abs(cells)) > about["vmax"] else "neither"
    figure.colorbar(image, ax=axes, label=SIGNALS[signal], pad=0.02, extend=beyond)
