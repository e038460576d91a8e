"""A study's results on standard output: the ranked table, what failed, where to look next."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdar_cli.cli.render import duration, print_json, say
from sdar_cli.tracking.location import runs_option

if TYPE_CHECKING:
    from sdar_cli.sweep.view import StudyView

FIGURES = ("*.png", "*.svg", "*.html")


def study_state(view: StudyView) -> str:
    """``over``, ``paused``, ``running``, ``waiting``, or ``over, 2 failed``."""
    counts = view.counts
    if view.is_over:
        failed = counts.get("failed", 0)
        return f"over, {failed} failed" if failed else "over"
    if view.paused:
        return "paused"
    return "running" if counts.get("running") else "waiting for workers"


def print_status(view: StudyView, root: Path, *, as_json: bool) -> None:
    """All there is to say of a study now."""
    from rich.console import Console

    from sdar_cli.cli.sweep_table import cells_table, legend, runs_table
    from sdar_cli.sweep.playing import playing, seconds_left
    from sdar_cli.sweep.ranking import counts_in_words, failures, ranked

    running = playing(view, root)
    rows = ranked(view)
    left = seconds_left(view, running)
    if as_json:
        print_json(_json(view, root, rows, running, left))
        return
    console = Console(highlight=False, file=sys.stdout)
    spec = view.spec
    eta = "" if left is None else f", about {duration(left)} left"
    say(f"{spec.name}: {study_state(view)}; of {view.total_runs} runs {counts_in_words(view.counts)}{eta}\n")
    console.print(cells_table(view, rows))
    if undrawn := spec.total_cells - len(view.cells):
        say(f"and {undrawn} cell{'s' * (undrawn > 1)} that the search has not drawn yet")
    say(f"\n{legend(view)}")
    if running:
        say()
        console.print(runs_table(running))
    where = f"{spec.name}{runs_option(root)}"
    if failed := failures(view):
        say()
        for name, sentence in failed:
            say(f"{name} failed: {sentence}")
        say(f"run them again with   sdar sweep retry-failed {where}")
    say()
    folder = view.folder or root / "studies" / spec.name
    if figures(folder):
        say(f"figures      {folder / 'figures'}")
    if not view.is_over and not running:
        say(f"go on with   sdar sweep resume {where}")
    if any(cell.done for cell in view.cells):
        say(f"compare      sdar compare --study {where}")
    say(f"open the UI  sdar ui{runs_option(root)}")


def figures(folder: Path) -> list[Path]:
    """Pictures of a study that were drawn up to now."""
    return sorted(path for pattern in FIGURES for path in (folder / "figures").glob(pattern))


def _json(view: StudyView, root: Path, rows: list, running: list, left: float | None) -> dict[str, Any]:
    folder = view.folder or root / "studies" / view.spec.name
    return {
        "study": view.spec.name,
        "folder": str(folder),
        "state": study_state(view),
        "over": view.is_over,
        "paused": view.paused,
        "created": view.created,
        "metric": view.spec.metric,
        "seeds": list(view.spec.seeds),
        "axes": [str(axis) for axis in view.spec.axes],
        "counts": view.counts,
        "total_cells": view.spec.total_cells,
        "total_runs": view.total_runs,
        "seconds_left": left,
        "cells": [row.to_json() for row in rows],
        "running": [play.to_json() for play in running],
        "figures": [str(path) for path in figures(folder)],
        "mlflow_parent": view.spec.mlflow_parent,
    }
