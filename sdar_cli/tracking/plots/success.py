"""Success with and without skills over steps, beside that of the training rollouts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sdar_cli.tracking.plots.canvas import (
    BAND,
    BLUE,
    GREY,
    ORANGE,
    Row,
    finite,
    legend_below,
    panels,
    series,
    success_interval,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MODES = {"no_skills": ("without skills", BLUE, "-", "o"), "skills": ("with skills", ORANGE, "--", "s")}


def success(rows: Sequence[Row]) -> Figure | None:
    """Evaluations with Wilson's intervals of 95 %, base and end marked; rollouts in grey, behind them."""
    played, shares = series(rows, "rollout/success")
    evaluations = [row for row in rows if any(finite(row, f"eval/{mode}/success") for mode in MODES)]
    if not played and not evaluations:
        return None
    figure, (axes,) = panels(1, height=3.6)
    if played:
        percent = [100 * share for share in shares]
        dot = "." if len(played) == 1 else ""
        axes.plot(played, percent, color=GREY, linewidth=0.9, alpha=0.7, marker=dot, label="training rollouts")
    for mode, (label, colour, dash, marker) in MODES.items():
        _evaluations(axes, rows, mode, label, colour, dash, marker)
    _mark_ends(axes, evaluations)
    sure = any(success_interval(row, mode) for row in rows for mode in MODES)
    axes.set_title("Success, evaluations with intervals of 95 %" if sure else "Success", pad=16)
    axes.set(ylabel="episodes solved (%)", ylim=(-3, 103))
    legend_below(figure, 3)
    return figure


def _evaluations(axes: Axes, rows: Sequence[Row], mode: str, label: str, colour: str, dash: str, marker: str) -> None:
    steps, shares = series(rows, f"eval/{mode}/success")
    if not steps:
        return
    ends = f": {100 * shares[0]:.1f}" + (f" → {100 * shares[-1]:.1f}" if len(shares) > 1 else "") + " %"
    axes.plot(
        steps,
        [100 * share for share in shares],
        dash,
        color=colour,
        marker=marker,
        markersize=4,
        linewidth=1.5,
        label=label + ends,
        zorder=3,
    )
    known = [(row["step"], found) for row in rows if (found := success_interval(row, mode)) is not None]
    if not known:
        return
    at = [step for step, _ in known]
    low, high = [100 * found.low for _, found in known], [100 * found.high for _, found in known]
    if len(known) > 2:  # a band over two points would claim what lies between them
        axes.fill_between(at, low, high, color=colour, alpha=BAND, linewidth=0)
    else:
        axes.vlines(at, low, high, color=colour, linewidth=1.2, zorder=3)


def _mark_ends(axes: Axes, evaluations: Sequence[Row]) -> None:
    """A dotted line at the base, step 0, and at the last evaluation, each with its name."""
    steps = [row["step"] for row in evaluations]
    names = {0: "base"} if 0 in steps else {}
    if steps and steps[-1] > 0:
        names[steps[-1]] = "end"
    for step, name in names.items():
        axes.axvline(step, color=GREY, linewidth=0.8, linestyle=":", zorder=1)
        axes.annotate(
            name,
            (step, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            va="bottom",
            color=GREY,
        )
