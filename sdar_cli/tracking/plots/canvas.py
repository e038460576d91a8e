"""What the plots share: rows read as series, panels over steps, and colours that everybody can tell apart."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sdar_cli.statistics import Interval, wilson

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, float]
"""``step`` and metrics by name."""

BLUE, ORANGE, GREEN, RED, SKY, PURPLE, GREY = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#d55e00",
    "#56b4e9",
    "#cc79a7",
    "#767676",
)
"""Okabe and Ito's palette (2008), told apart also by the colour-blind; and a grey."""
UNREACHED = "#d0d0d0"
"""Where a heat map has no value."""
PALE = {BLUE: "#9fcbe5", ORANGE: "#f6d79b"}
"""The same hues, lighter."""
BAND = 0.18
"""Opacity of a band behind its line."""

LARGEST = 1e30
"""Of a value, beyond which there is nothing to be seen, and axes overflow."""
LAST_STEP = MOST = 10**12
"""The same of steps, and of episodes."""

STYLE = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "legend.frameon": False,
    "svg.hashsalt": "sdar",
}


def series(rows: Sequence[Row], name: str) -> tuple[list[float], list[float]]:
    """Steps and values of a metric, where it is finite."""
    found = [(row["step"], row[name]) for row in rows if finite(row, name)]
    return [step for step, _ in found], [value for _, value in found]


def finite(row: Row, name: str) -> bool:
    """Whether a metric has a value that can be drawn."""
    return abs(row.get(name, math.nan)) < LARGEST


def present(rows: Sequence[Row], *names: str) -> bool:
    """Whether any of these metrics has a value."""
    return any(finite(row, name) for row in rows for name in names)


def success_interval(row: Row, mode: str, part: str = "") -> Interval | None:
    """Wilson's interval of an evaluation's success from its share and its number of episodes; ``part`` is
    ``/turns_le_5`` and so on. None where one of the two is missing, or is none."""
    share, count = f"eval/{mode}/success{part}", f"eval/{mode}/episodes{part}"
    if not (finite(row, share) and finite(row, count) and 0 <= row[share] <= 1 <= row[count] < MOST):
        return None
    return wilson(round(row[share] * row[count]), round(row[count]))


def panels(count: int, height: float) -> tuple[Figure, list[Axes]]:
    """Panels one above another that share an axis of steps; ``height`` in inches."""
    figure, stack = blank(count, height, sharex=True)
    stack[-1].set_xlabel("step (rollouts)")
    whole_numbers(stack[-1].xaxis)
    return figure, stack


def blank(count: int, height: float, **about: Any) -> tuple[Figure, list[Axes]]:
    """Panels one above another, 6.4 inches wide."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, height), layout="constrained")
    return figure, figure.subplots(count, 1, squeeze=False, **about)[:, 0].tolist()


def whole_numbers(axis: Any) -> None:
    """Ticks of an axis at integers only."""
    axis.get_major_locator().set_params(integer=True, min_n_ticks=1)


def lines(axes: Axes, rows: Sequence[Row], chosen: Mapping[str, tuple[str, str, str]]) -> None:
    """Draw metric → (label, colour, dash); a single point is drawn as one."""
    for name, (label, colour, dash) in chosen.items():
        steps, values = series(rows, name)
        if steps:
            marker = "o" if len(steps) == 1 else ""
            axes.plot(steps, values, dash, color=colour, linewidth=1.3, label=label, marker=marker, markersize=4)


def share_axis(axes: Axes, label: str) -> None:
    """A vertical axis from 0 to 1, with room for a line that runs along its end."""
    axes.set(ylabel=label, ylim=(-0.03, 1.03))


def legend_above(axes: Axes) -> None:
    """A legend in the line of the panel's title, where it hides nothing."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=4, borderaxespad=0.1, columnspacing=1.2)


def legend_below(figure: Figure, columns: int) -> None:
    """A legend of all that the figure shows, under it."""
    if any(axes.get_legend_handles_labels()[0] for axes in figure.axes):
        figure.legend(loc="outside lower center", ncols=columns, handlelength=2.2, columnspacing=1.2)


def edges(steps: Sequence[float]) -> list[float]:
    """Borders of the cells around these steps, one more than there are."""
    middles = [(a + b) / 2 for a, b in itertools.pairwise(steps)]
    width = middles[0] - steps[0] if middles else 0.5
    last = steps[-1] - middles[-1] if middles else 0.5
    return [steps[0] - width, *middles, steps[-1] + last]
