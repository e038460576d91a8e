"""A search as it went: each cell's mean, and the best up to then."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sdar_cli.sweep.plots_cells import Measured, metric_label
from sdar_cli.sweep.view import StudyView

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def history(view: StudyView, cells: Sequence[Measured]) -> Figure | None:
    """By the cells' index, which is the order of the search; a grid has none. Pruned cells are left out."""
    whole = [cell for cell in cells if cell.whole]
    if view.spec.search == "grid" or len(whole) < 2:
        return None
    from sdar_cli.tracking.plots.canvas import BLUE, ORANGE, blank, legend_above, whole_numbers

    figure, (axes,) = blank(1, height=3.4)
    at = [cell.index for cell in whole]
    known = [cell for cell in whole if cell.interval is not None]
    axes.vlines(
        [cell.index for cell in known],
        [cell.interval.low for cell in known],
        [cell.interval.high for cell in known],
        color=BLUE,
        linewidth=1.0,
        alpha=0.5,
    )
    axes.plot(at, [cell.mean for cell in whole], "o", color=BLUE, markersize=4.5, label="cell, mean over seeds")
    best = list(itertools.accumulate((cell.mean for cell in whole), max))
    axes.step(at, best, where="post", color=ORANGE, linewidth=1.5, label="best up to then")
    axes.set(xlabel="cell", ylabel=metric_label(view), ylim=(-3, 103))
    whole_numbers(axes.xaxis)
    axes.set_title(f"{view.spec.search} search", pad=16)
    legend_above(axes)
    return figure
