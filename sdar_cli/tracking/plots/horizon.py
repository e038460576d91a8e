"""Success by the number of turns that the expert needs: base and end, without and with skills."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sdar_cli.evaluation.horizon import SLICES, Slice
from sdar_cli.tracking.plots.canvas import BLUE, ORANGE, PALE, Row, blank, finite, legend_below, success_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MODES = {"no_skills": ("without skills", BLUE), "skills": ("with skills", ORANGE)}
WIDTH = 0.2
"""Of a bar; slices are 1 apart."""


def horizon(rows: Sequence[Row]) -> Figure | None:
    """Four bars a slice, with Wilson's intervals of 95 %; None where no evaluation was sliced."""
    slices = [one for one in SLICES if any(_has(row, mode, one) for row in rows for mode in MODES)]
    if not slices:
        return None
    cells = _cells(rows)
    figure, (axes,) = blank(1, height=3.6)
    for place, (label, row, mode, colour) in enumerate(cells):
        for position, one in enumerate(slices):
            if _has(row, mode, one):
                offset = (place - (len(cells) - 1) / 2) * WIDTH
                _bar(axes, position + offset, row, mode, one, colour)
        axes.bar([0], [0], WIDTH, color=colour, label=label)
    axes.set_xticks(range(len(slices)), [f"{one.label}\n{_tasks(rows, one)}" for one in slices])
    axes.set_xlim(-0.6, len(slices) - 0.4)
    axes.grid(False, axis="x")
    axes.set(
        title="Success by the turns that the expert needs, intervals of 95 %",
        xlabel="turns of the expert",
        ylabel="episodes solved (%)",
        ylim=(0, 103),
    )
    legend_below(figure, 2)
    return figure


def _cells(rows: Sequence[Row]) -> list[tuple[str, Row, str, str]]:
    """(label, row, mode, colour): the base's evaluations and the last ones, as far as there are any."""
    cells = []
    for mode, (words, colour) in MODES.items():
        found = [row for row in rows if any(_has(row, mode, one) for one in SLICES)]
        for row in found[:1] if found and found[0]["step"] == 0 else []:
            cells.append((f"base, {words}", row, mode, PALE[colour]))
        for row in found[-1:] if found and found[-1]["step"] > 0 else []:
            cells.append((f"step {row['step']:.0f}, {words}", row, mode, colour))
    return cells


def _has(row: Row, mode: str, one: Slice) -> bool:
    return finite(row, f"eval/{mode}/success/{one.name}")


def _bar(axes: Axes, at: float, row: Row, mode: str, one: Slice, colour: str) -> None:
    share = 100 * row[f"eval/{mode}/success/{one.name}"]
    axes.bar([at], [share], WIDTH * 0.92, color=colour)
    interval = success_interval(row, mode, f"/{one.name}")
    if interval is not None:
        axes.vlines(at, 100 * interval.low, 100 * interval.high, color="black", linewidth=1.0)


def _tasks(rows: Sequence[Row], one: Slice) -> str:
    counts = {row[name] for row in rows for mode in MODES if finite(row, name := f"eval/{mode}/episodes/{one.name}")}
    return f"({'/'.join(f'{count:.0f}' for count in sorted(counts))} tasks)" if counts else ""
