"""Parallel coordinates: a line a cell through its setting to its mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sdar_cli.sweep.plots_cells import Measured, Scale, metric_label
from sdar_cli.sweep.space import as_yaml
from sdar_cli.sweep.view import StudyView

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TICKS = 6


def parallel(view: StudyView, cells: Sequence[Measured]) -> Figure | None:
    """One axis is a response curve already, so two are needed, and two cells. The best cells lie on top."""
    scales = [Scale.of(axis, cells) for axis in view.spec.axes]
    scales = [scale for scale in scales if len(scale.values) > 1]
    if len(scales) < 2 or len(cells) < 2:
        return None
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    from sdar_cli.tracking.plots.canvas import blank

    figure, (axes,) = blank(1, height=3.8)
    figure.set_size_inches(max(6.4, 1.5 * len(scales) + 2.6), 3.8)
    means = [cell.mean for cell in cells]
    low, high = min(means), max(means)
    shades = Normalize(low, high if high > low else low + 1)
    colours = colormaps["viridis_r"]
    for cell in sorted(cells, key=lambda cell: (cell.mean, cell.index)):
        # An axis that the cell does not have (nothing read it there) is passed at its foot.
        heights = [scale.share(cell.params[scale.axis.key]) if _has(cell, scale) else -0.08 for scale in scales]
        heights.append(shades(cell.mean))
        axes.plot(range(len(heights)), heights, color=colours(shades(cell.mean)), linewidth=1.3, alpha=0.85)
    for place, scale in enumerate(scales):
        _axis(axes, place, _ticks(scale))
    ends = [(shades(value), f"{value:.1f}") for value in sorted({low, (low + high) / 2, high})]
    _axis(axes, len(scales), ends)
    axes.set_xticks(range(len(scales) + 1), [*(scale.axis.key for scale in scales), metric_label(view)])
    axes.set(xlim=(-0.2, len(scales) + 0.45), ylim=(-0.12, 1.05), yticks=[])
    axes.grid(False)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.set_title(f"{len(cells)} cells, the best on top")
    figure.colorbar(ScalarMappable(shades, colours), ax=axes, pad=0.02, shrink=0.9)
    return figure


def _has(cell: Measured, scale: Scale) -> bool:
    return scale.axis.key in cell.params


def _ticks(scale: Scale) -> list[tuple[float, str]]:
    values = scale.values if scale.axis.choices is not None else (scale.values[0], scale.values[-1])
    if len(values) > TICKS:
        values = tuple(values[round(place * (len(values) - 1) / (TICKS - 1))] for place in range(TICKS))
    return [(scale.share(value), f"{value:g}" if scale.numeric else as_yaml(value)) for value in values]


def _axis(axes: Axes, place: int, ticks: Sequence[tuple[float, str]]) -> None:
    from sdar_cli.tracking.plots.canvas import GREY

    axes.vlines(place, 0, 1, color=GREY, linewidth=0.9, zorder=1)
    for height, text in ticks:
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.8}
        axes.annotate(
            text, (place, height), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8, bbox=box
        )
