"""How the gates are spread between 0 and 1, over steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sdar_cli.tracking.plots.canvas import RED, Row, edges, finite, legend_below, lines, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BINS = 10
"""``gate/bin_0`` … ``gate/bin_9``, of equal width."""


def gate_histogram(rows: Sequence[Row]) -> Figure | None:
    """A column a step: the darker a cell, the more tokens have their gate there; a line for the mean."""
    shown = [row for row in rows if all(finite(row, f"gate/bin_{place}") for place in range(BINS))]
    if not shown:
        return None
    figure, (axes,) = panels(1, height=3.4)
    cells = [[100 * row[f"gate/bin_{place}"] for row in shown] for place in range(BINS)]
    borders = [place / BINS for place in range(BINS + 1)]
    image = axes.pcolormesh(edges([row["step"] for row in shown]), borders, cells, cmap="Blues", vmin=0.0)
    lines(axes, shown, {"gate/mean": ("mean gate", RED, "-")})
    axes.grid(False)
    axes.set(title="Gates of all response tokens", ylabel="gate g (ten bins)", ylim=(0, 1))
    figure.colorbar(image, ax=axes, label="share of tokens (%)", pad=0.02)
    legend_below(figure, 1)
    return figure
