"""Where the time of a step goes, stacked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sdar_cli.tracking.plots.canvas import BLUE, GREEN, ORANGE, PURPLE, SKY, Row, edges, finite, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PARTS = {
    "time/generation": ("generation", BLUE),
    "time/environment": ("environment", ORANGE),
    "time/teacher": ("teacher", GREEN),
    "time/scoring": ("scoring", PURPLE),
    "time/training": ("training", SKY),
}
"""From the bottom up, as a step goes through them."""


def seconds(rows: Sequence[Row]) -> Figure | None:
    """A column a step; parts that no step spent time on are left out."""
    shown = [row for row in rows if any(finite(row, name) for name in PARTS)]
    spent = {name: np.array([row[name] if finite(row, name) else 0.0 for row in shown]) for name in PARTS}
    if not any(values.any() for values in spent.values()):
        return None
    figure, (axes,) = panels(1, height=3.2)
    borders = edges([row["step"] for row in shown])
    below = np.zeros(len(shown))
    for name, (label, colour) in PARTS.items():
        if spent[name].any():
            mean = spent[name].mean()
            axes.stairs(
                below + spent[name], borders, baseline=below, fill=True, color=colour, label=f"{label}, {mean:.2g} s"
            )
            below = below + spent[name]
    axes.set(title="Time of a step", ylabel="seconds", ylim=(0, None), xlim=(borders[0], borders[-1]))
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), reverse=True, title="mean of a step")
    return figure
