"""The gap between teacher and student, and the gate that it opens, over steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sdar_cli.tracking.plots.canvas import (
    BAND,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    RED,
    Row,
    finite,
    legend_above,
    lines,
    panels,
    present,
    series,
    share_axis,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHARES = {
    "gap/negative": ("gap below 0", RED, "-"),
    "gate/active": ("gate above 0.5", GREEN, "--"),
    "gate/saturated": ("gate < 0.01 or > 0.99", PURPLE, ":"),
}


def gap_and_gate(rows: Sequence[Row]) -> Figure | None:
    """Mean and spread of the gap; the mean gate, where there is one; shares of tokens."""
    if not present(rows, "gap/mean"):
        return None
    parts = [_gap]
    parts += [_gate] if present(rows, "gate/mean") else []
    parts += [_shares] if present(rows, *SHARES) else []
    figure, stack = panels(len(parts), height=2.0 * len(parts) + 0.4)
    for axes, part in zip(stack, parts, strict=True):
        part(axes, rows)
        legend_above(axes)
    return figure


def _gap(axes: Axes, rows: Sequence[Row]) -> None:
    """The mean with quantiles around it; with a standard deviation where a run kept no quantiles."""
    quantiles = [(row["step"], row["gap/p10"], row["gap/p90"]) for row in _with(rows, "gap/p10", "gap/p90")]
    deviations = [
        (row["step"], row["gap/mean"] - row["gap/std"], row["gap/mean"] + row["gap/std"])
        for row in _with(rows, "gap/mean", "gap/std")
    ]
    if band := quantiles or deviations:
        label = "10 % to 90 % of tokens" if quantiles else "± one standard deviation"
        axes.fill_between(*zip(*band, strict=True), color=BLUE, alpha=BAND, linewidth=0, label=label)
    lines(axes, rows, {"gap/mean": ("mean", BLUE, "-"), "gap/p50": ("median", ORANGE, "--")})
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.set(title="Gap, teacher − student", ylabel="gap Δ (nats a token)")


def _gate(axes: Axes, rows: Sequence[Row]) -> None:
    steps, means = series(rows, "gate/mean")
    axes.plot(steps, means, color=GREEN, linewidth=1.3, marker="o" if len(steps) == 1 else "", markersize=4)
    axes.set_title("Gate, mean over tokens")
    share_axis(axes, "gate g")


def _shares(axes: Axes, rows: Sequence[Row]) -> None:
    lines(axes, rows, SHARES)
    axes.set_title("Tokens")
    share_axis(axes, "share of tokens")


def _with(rows: Sequence[Row], *names: str) -> list[Row]:
    return [row for row in rows if all(finite(row, name) for name in names)]
