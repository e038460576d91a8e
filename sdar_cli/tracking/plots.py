"""A run's curves as pictures, from the rows of its journal: success, gap and gate, turns, KL, groups."""

from __future__ import annotations

import io
import itertools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sdar_cli.evaluation.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, float]

BLUE, ORANGE, GREEN, RED, GREY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#767676"
"""Of Okabe and Ito's palette, told apart also by the colour-blind."""

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


def write_plots(rows: Sequence[Row], folder: Path, kind: str = "png") -> list[Path]:
    """Draw every plot that the rows have data for, as files; returns the files, ``success.png`` and so on.

    Rows hold ``step`` and metrics by name (``Journal.read``); ``kind`` is ``png`` or ``svg``. Files are
    replaced whole.
    """
    from matplotlib import rc_context

    folder.mkdir(parents=True, exist_ok=True)
    made = []
    with rc_context(STYLE):
        for name, draw in PLOTS.items():
            figure = draw(rows)
            if figure is not None:
                made.append(_save(figure, folder / f"{name}.{kind}"))
    return made


def success(rows: Sequence[Row]) -> Figure | None:
    """Success of training rollouts and of evaluations, over steps."""
    lines = {
        "rollout/success": ("training rollouts", GREY, "-", None),
        "eval/no_skills/success": ("evaluation without skills", BLUE, "-", "o"),
        "eval/skills/success": ("evaluation with skills", ORANGE, "--", "s"),
    }
    if not any(_series(rows, name)[0] for name in lines):
        return None
    figure, (axes,) = _figure(1, height=3.2)
    for name, (label, colour, dash, marker) in lines.items():
        steps, values = _series(rows, name)
        if steps:
            shares = [100 * value for value in values]
            axes.plot(steps, shares, dash, color=colour, label=label, marker=marker, markersize=4, linewidth=1.3)
    axes.set(title="Success", ylabel="episodes solved (%)", ylim=(-3, 103))
    axes.legend(loc="best")
    return figure


def gap_and_gate(rows: Sequence[Row]) -> Figure | None:
    """Teacher–student gap (mean, one standard deviation) and gate, over steps."""
    steps, mean = _series(rows, "gap/mean")
    if not steps:
        return None
    figure, (above, middle, below) = _figure(3, height=6.2)
    spread = dict(zip(*_series(rows, "gap/std"), strict=True))
    low = [value - spread.get(step, 0.0) for step, value in zip(steps, mean, strict=True)]
    high = [value + spread.get(step, 0.0) for step, value in zip(steps, mean, strict=True)]
    above.fill_between(steps, low, high, color=BLUE, alpha=0.15, linewidth=0, label="± one standard deviation")
    above.plot(steps, mean, color=BLUE, linewidth=1.3, label="mean")
    above.axhline(0, color=GREY, linewidth=0.8)
    above.set(title="Gap between teacher and student", ylabel="Δ (nats a token)")
    above.legend(loc="best")
    _lines(middle, rows, {"gate/mean": ("mean", GREEN, "-")})
    middle.set(title="Gate", ylabel="g", ylim=(-0.03, 1.03))
    shares = {"gap/negative": ("gap below 0", RED, "-"), "gate/active": ("gate above 0.5", GREEN, "--")}
    _lines(below, rows, shares)
    below.set(title="Shares of tokens", ylabel="share", ylim=(-0.03, 1.03))
    below.legend(loc="best")
    return figure


def by_turn(rows: Sequence[Row]) -> Figure | None:
    """Mean gap and gate by turn index and step, as heat maps."""
    names = {name for row in rows for name in row}
    indices = sorted({int(m[1]) for name in names if (m := re.fullmatch(r"gap/turn_(\d+)/mean", name))})
    steps = [row["step"] for row in rows if any(f"gap/turn_{turn:02d}/mean" in row for turn in indices)]
    if not indices:
        return None
    by_step = {row["step"]: row for row in rows}
    figure, panels = _figure(2, height=min(7.0, 3.2 + 0.2 * len(indices)))
    for axes, (signal, label, colours) in zip(
        panels, [("gap", "mean gap Δ (nats)", "RdBu"), ("gate", "mean gate g", "viridis")], strict=True
    ):
        cells = [[by_step[step].get(f"{signal}/turn_{turn:02d}/mean", math.nan) for step in steps] for turn in indices]
        finite = [abs(value) for line in cells for value in line if math.isfinite(value)]
        top = max(finite, default=1.0) or 1.0
        low, high = (-top, top) if signal == "gap" else (0.0, 1.0)
        image = axes.pcolormesh(
            _edges(steps),
            [turn - 0.5 for turn in indices] + [indices[-1] + 0.5],
            cells,
            cmap=colours,
            vmin=low,
            vmax=high,
        )
        axes.grid(False)
        axes.invert_yaxis()
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.set(title=f"{signal.capitalize()} by turn", ylabel="turn")
        figure.colorbar(image, ax=axes, label=label, pad=0.02)
    return figure


def policy(rows: Sequence[Row]) -> Figure | None:
    """KL to the reference policy and entropy, over steps."""
    if not (_series(rows, "policy/kl")[0] or _series(rows, "policy/entropy")[0]):
        return None
    figure, (above, below) = _figure(2, height=4.6)
    _lines(above, rows, {"policy/kl": ("KL", BLUE, "-")})
    above.set(title="KL to the reference policy", ylabel="k3 estimate (nats a token)")
    _lines(below, rows, {"policy/entropy": ("entropy", ORANGE, "-")})
    below.set(title="Entropy", ylabel="nats a token")
    return figure


def rollouts(rows: Sequence[Row]) -> Figure | None:
    """Groups that teach nothing and invalid actions, over steps."""
    shares = {
        "rollout/zero_variance_groups": ("groups without reward variance", RED, "-"),
        "rollout/invalid_action_rate": ("turns with an invalid action", ORANGE, "--"),
    }
    if not any(_series(rows, name)[0] for name in shares):
        return None
    figure, (axes,) = _figure(1, height=2.8)
    _lines(axes, rows, shares)
    axes.set(title="Training rollouts", ylabel="share", ylim=(-0.03, 1.03))
    axes.legend(loc="best")
    return figure


PLOTS: dict[str, Callable[[Sequence[Row]], Figure | None]] = {
    "success": success,
    "gap_and_gate": gap_and_gate,
    "by_turn": by_turn,
    "policy": policy,
    "rollouts": rollouts,
}
"""File name → function that draws it, or returns None where its metrics are missing."""


def _series(rows: Sequence[Row], name: str) -> tuple[list[float], list[float]]:
    found = [(row["step"], row[name]) for row in rows if math.isfinite(row.get(name, math.nan))]
    return [step for step, _ in found], [value for _, value in found]


def _lines(axes: Axes, rows: Sequence[Row], lines: Mapping[str, tuple[str, str, str]]) -> None:
    for name, (label, colour, dash) in lines.items():
        steps, values = _series(rows, name)
        if steps:
            axes.plot(steps, values, dash, color=colour, linewidth=1.3, label=label)


def _figure(panels: int, height: float) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, height), layout="constrained")
    stack = figure.subplots(panels, 1, sharex=True, squeeze=False)[:, 0].tolist()
    stack[-1].set_xlabel("step (rollouts)")
    stack[-1].xaxis.get_major_locator().set_params(integer=True)
    return figure, stack


def _edges(steps: Sequence[float]) -> list[float]:
    middles = [(a + b) / 2 for a, b in itertools.pairwise(steps)]
    width = middles[0] - steps[0] if middles else 0.5
    last = steps[-1] - middles[-1] if middles else 0.5
    return [steps[0] - width, *middles, steps[-1] + last]


def _save(figure: Figure, path: Path) -> Path:
    content = io.BytesIO()
    kind = path.suffix.removeprefix(".")
    figure.savefig(content, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else {})
    write_bytes(path, content.getvalue())
    return path
