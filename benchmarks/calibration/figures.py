"""The curves of docs/statistics.md."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from calibration.shares import wilson_coverage
from calibration.table import Row
from sdar_cli.tracking.plots.canvas import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, STYLE

COLOURS = {32: BLUE, 128: ORANGE, 500: GREEN}
BOUND = 5.5
"""What no test's false positives may exceed, percent."""


def draw(rows: Sequence[Row], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with plt.rc_context({**STYLE, "svg.fonttype": "path"}):
        for name, figure in (("one-run", _wilson()), ("pairs", _pairs(rows)), ("seeds", _seeds(rows))):
            figure.savefig(folder / f"coverage-{name}.svg", metadata={"Date": None}, bbox_inches="tight")
            plt.close(figure)


def _wilson() -> plt.Figure:
    figure, stack = plt.subplots(3, 1, figsize=(7, 4.6), sharex=True, sharey=True)
    p = np.linspace(0.002, 0.998, 750)
    for axes, (n, colour) in zip(stack, COLOURS.items(), strict=True):
        axes.plot(p, 100 * wilson_coverage(n, p), color=colour, linewidth=0.8)
        axes.axhline(95, color=GREY, linewidth=0.8, linestyle="--")
        axes.set_title(f"{n} tasks")
        axes.set_ylim(83, 100.5)
    stack[1].set_ylabel("coverage of Wilson's interval, %")
    stack[-1].set_xlabel("true success rate")
    figure.tight_layout()
    return figure


def _pairs(rows: Sequence[Row]) -> plt.Figure:
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2))
    for name, colour in (("Newcombe, paired", BLUE), ("Newcombe, unpaired", ORANGE)):
        _line(left, [r for r in rows if r.statistic == name], "tasks", colour, name, "least")
    tests = (("McNemar, exact", BLUE), ("Fisher", ORANGE), ("McNemar, mid-p", RED))
    for name, colour in tests:
        _line(right, [r for r in rows if r.statistic == name], "tasks", colour, name, "most")
    _nominal(left, right)
    left.set_ylabel("coverage, %")
    left.set_ylim(92, 98)
    for axes in (left, right):
        axes.set_xscale("log", base=2)
        axes.set_xticks([32, 64, 128, 256, 500], ["32", "64", "128", "256", "500"])
        axes.set_xlabel("tasks")
    figure.tight_layout()
    return figure


def _seeds(rows: Sequence[Row]) -> plt.Figure:
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.4))
    ours, plain = "t over paired seeds", "t over paired seeds, plain"
    for n, colour in COLOURS.items():
        for name, style in ((ours, "-"), (plain, ":")):
            covered = [r for r in rows if (r.statistic, r.tasks, r.world) == (name, n, "phi up to 0.5")]
            found = [r for r in rows if (r.statistic, r.tasks, r.world) == (name, n, "all")]
            label = f"{'t' if name == ours else 't, uncorrected'}, {n} tasks"
            left.plot(*_series(covered, "seeds", "mean"), color=colour, linestyle=style, label=label)
            right.plot(*_series(found, "seeds", "worst"), color=colour, linestyle=style)
    bootstrap = [r for r in rows if r.statistic == "hierarchical bootstrap" and r.seeds != "1"]
    left.plot(*_series(bootstrap, "seeds", "mean"), color=PURPLE, marker=".", label="hierarchical bootstrap")
    _nominal(left, right)
    right.set_ylabel("most false positives, %")
    for axes in (left, right):
        axes.set_xlabel("seeds")
        axes.set_xticks(range(2, 11))
    left.legend(fontsize=7)
    figure.tight_layout()
    return figure


def _nominal(left: Axes, right: Axes) -> None:
    left.axhline(95, color=GREY, linewidth=0.8, linestyle="--")
    left.set_ylabel("mean coverage, %")
    right.axhline(5, color=GREY, linewidth=0.8, linestyle="--")
    right.axhline(BOUND, color=RED, linewidth=0.8)
    right.set_ylabel("false positives, %")
    right.set_ylim(bottom=0)


def _line(axes: Axes, rows: Sequence[Row], over: str, colour: str, label: str, worst: str) -> None:
    axes.plot(*_series(rows, over, "mean"), color=colour, marker=".", label=f"{label}: mean")
    axes.plot(*_series(rows, over, "worst"), color=colour, linestyle=":", label=f"{label}: {worst}")
    axes.legend(fontsize=7)


def _series(rows: Sequence[Row], over: str, what: str) -> tuple[list[float], list[float]]:
    points = sorted((float(getattr(row, over)), 100 * getattr(row, what)) for row in rows)
    return [x for x, _ in points], [y for _, y in points]
