"""The response curve of one axis: the mean over seeds with its interval, and every seed's dot."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sdar_cli.sweep.plots_cells import Measured, Scale, metric_label, seeds_in_words
from sdar_cli.sweep.space import Axis, as_yaml
from sdar_cli.sweep.view import StudyView

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINES = 6
"""Most lines of one panel."""
PANELS = 9
"""Most panels of one figure; what does not fit is drawn as dots without lines."""
APART = 0.07
"""Inches between the dots of neighbouring seeds."""

UNJOINED = "cells of several settings"
"""Name of a line of cells between which more differs than the axis, so that no line joins them."""

Line = tuple[str, list[Measured]]


def response(view: StudyView, cells: Sequence[Measured], axis: Axis) -> Figure | None:
    """Other axes are lines, then panels; a search over ranges has no two cells on a line, so its cells are dots."""
    shown = [cell for cell in cells if axis.key in cell.params]
    if not shown:
        return None
    others = [other for other in view.spec.axes if other.key != axis.key]
    panels = _panels(shown, others)
    scale = Scale.of(axis, cells)
    figure, grid = _grid(len(panels))
    for place, (axes, (title, lines)) in enumerate(zip(grid, panels, strict=False)):
        _panel(axes, lines, scale, legend=place == 0)
        axes.set_title(title, fontsize=9)
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    figure.suptitle(f"Response to {axis.key}: {seeds_in_words(view)}", fontsize=10, x=0.01, ha="left")
    grid[0].set_ylabel(metric_label(view))
    return figure


def _panels(cells: Sequence[Measured], others: Sequence[Axis]) -> list[tuple[str, list[Line]]]:
    """(title, lines) a panel. A line is one setting of the other axes, named by it."""
    for split in range(len(others) + 1):
        by_panel, by_line = others[:split], others[split:]
        panels = _grouped(cells, by_panel)
        made = [(name, _grouped(own, by_line)) for name, own in panels]
        curves = all(len(own) > 1 for _, lines in made for _, own in lines) or not others
        if len(made) <= PANELS and max(len(lines) for _, lines in made) <= LINES and curves:
            return made
    return [("", [(UNJOINED, list(cells))])]


def _grouped(cells: Sequence[Measured], axes: Sequence[Axis]) -> list[Line]:
    groups: dict[str, list[Measured]] = {}
    for cell in cells:
        name = ", ".join(f"{axis.key}={as_yaml(cell.params[axis.key])}" for axis in axes if axis.key in cell.params)
        groups.setdefault(name, []).append(cell)
    return list(groups.items())


def _panel(axes: Axes, lines: Sequence[Line], scale: Scale, *, legend: bool) -> None:
    from sdar_cli.tracking.plots.canvas import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY

    colours = itertools.cycle((BLUE, ORANGE, GREEN, RED, SKY, PURPLE, GREY))
    for (name, cells), colour, marker in zip(lines, colours, itertools.cycle("osD^vP"), strict=False):
        cells = sorted(cells, key=lambda cell: (scale.at(cell.params[scale.axis.key]), cell.index))
        at = [scale.at(cell.params[scale.axis.key]) for cell in cells]
        joined = "none" if name == UNJOINED else "-"
        means = [cell.mean for cell in cells]
        axes.plot(at, means, ls=joined, color=colour, marker=marker, ms=5, lw=1.4, label=name, zorder=3)
        known = [(x, cell.interval) for x, cell in zip(at, cells, strict=True) if cell.interval is not None]
        if known:
            ends = [interval.low for _, interval in known], [interval.high for _, interval in known]
            axes.vlines([x for x, _ in known], *ends, color=colour, linewidth=1.3, alpha=0.8, zorder=2)
    scale.dress(axes)
    axes.set_ylim(-3, 103)
    _dots(axes, lines, scale, itertools.cycle((BLUE, ORANGE, GREEN, RED, SKY, PURPLE, GREY)))
    if legend and any(name for name, _ in lines):
        axes.legend(loc="best", fontsize=8)


def _dots(axes: Axes, lines: Sequence[Line], scale: Scale, colours) -> None:
    """Seeds beside their mean, in their order; moved in the picture, not in the axis's units."""
    from matplotlib.transforms import ScaledTranslation

    for (_, cells), colour in zip(lines, colours, strict=False):
        for cell in cells:
            count = len(cell.seeds)
            if count < 2:
                continue
            for place, value in enumerate(cell.seeds):
                inches = APART * (place - (count - 1) / 2)
                moved = axes.transData + ScaledTranslation(inches, 0, axes.figure.dpi_scale_trans)
                x = scale.at(cell.params[scale.axis.key])
                axes.plot([x], [value], "o", color=colour, ms=3.2, alpha=0.6, zorder=2.5, transform=moved, mew=0)


def _grid(count: int) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    columns = min(count, 3)
    rows = -(-count // columns)
    size = (6.4, 3.8) if count == 1 else (3.1 * columns + 0.4, 2.6 * rows + 0.5)
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, sharey=True).ravel().tolist()
