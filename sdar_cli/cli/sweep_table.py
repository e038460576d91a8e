"""A study as tables: cells ranked, runs that failed, runs at work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sdar_cli.sweep.playing import Playing
from sdar_cli.sweep.ranking import Ranked
from sdar_cli.sweep.space import as_yaml
from sdar_cli.sweep.view import CellView, StudyView
from sdar_cli.visible import visible

if TYPE_CHECKING:
    from rich.table import Table

MARKS = {
    "done": "✓",
    "running": "▸",
    "waiting": "·",
    "stopped": "‖",
    "lost": "?",
    "pruned": "−",
    "failed": "✗",
}
"""A run in one letter."""
ROOM = 34
"""Letters that the other columns leave to the axes in a line of 80: a column each where they fit, else one for all."""
METRICS = {"success": "success without skills", "score": "score without skills"}


def cells_table(view: StudyView, rows: Sequence[Ranked], limit: int | None = None) -> Table:
    """Cells by rank: settings, a mark a seed, mean with its interval, state.

    Args:
        view: the study.
        rows: its ranked cells.
        limit: rows shown; None: all.
    """
    axes = [axis.key for axis in view.spec.axes]
    each = 0 < sum(len(key) + 2 for key in axes) <= ROOM
    table = _plain()
    table.add_column("", justify="right", no_wrap=True)
    for heading in axes if each else ["setting"]:
        table.add_column(heading, overflow="fold", min_width=4)
    table.add_column("seeds", overflow="fold", min_width=5)
    table.add_column(METRICS[view.spec.metric], justify="right", no_wrap=True)
    table.add_column("state", overflow="fold")
    for row in rows[:limit]:
        cell = row.cell
        setting = [as_yaml(cell.params[key]) if key in cell.params else "–" for key in axes] if each else [cell.label]
        rank = "" if row.rank is None else str(row.rank)
        table.add_row(*map(_text, (rank, *setting, marks(cell), rate(row, view.spec.metric), state(cell))))
    return table


def runs_table(running: Sequence[Playing]) -> Table:
    """Runs at work: where they are, and the numbers one watches."""
    from sdar_cli.cli.render import duration

    table = _plain()
    for heading in ("run", "step", "success", "gap", "gate", "kl", "left"):
        left = heading == "run"
        table.add_column(heading, justify="left" if left else "right", no_wrap=not left, overflow="fold")
    for play in running:
        step = play.phase if play.steps is None or play.phase != "training" else f"{play.step}/{play.steps}"
        names = ("rollout/success", "gap/mean", "gate/active", "policy/kl")
        numbers = [f"{play.metrics[name]:.3g}" if name in play.metrics else "–" for name in names]
        left = "–" if play.left is None else duration(play.left)
        table.add_row(*map(_text, (play.run.name, step, *numbers, left)))
    return table


def marks(cell: CellView) -> str:
    """A letter a seed, in the order of the seeds; many seeds are counted."""
    if len(cell.runs) <= 12:
        return "".join(MARKS[run.state] for run in cell.runs)
    return f"{len(cell.done)}/{len(cell.runs)}"


def rate(row: Ranked, metric: str) -> str:
    """``61.7 % [53.1–69.7]``; in brackets where it is not of finished runs."""
    if row.rate is None:
        return "–"
    unit = " %" if metric == "success" else ""
    if row.interval is not None:
        low, high = 100 * row.interval.low, 100 * row.interval.high
        return f"{100 * row.rate:.1f}{unit} [{low:.1f}–{high:.1f}]"
    value = f"{100 * row.rate:.1f}{unit}"
    return value if row.cell.done else f"({value})"


def state(cell: CellView) -> str:
    if cell.state in ("running", "partial"):
        return f"{len(cell.done)} of {len(cell.runs)} done"
    return cell.state


def legend(view: StudyView) -> str:
    """What the marks mean, of those that occur."""
    counts = view.counts
    return "  ".join(f"{mark} {name}" for name, mark in MARKS.items() if counts.get(name))


def _plain() -> Table:
    from rich.table import Table

    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")


def _text(text: str) -> object:
    from rich.text import Text

    return Text(visible(text))
