"""What a worker takes next, and what a search is told of the cells so far."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sdar_cli.sweep.view import CLAIMABLE, CellView, RunView, StudyView


def candidates(view: StudyView) -> list[tuple[int, int]]:
    """The runs that can be claimed, as (cell, seed), the most wanted first.

    Lost and stopped runs come first, then the other seeds of cells that were begun, then the first of new cells.
    """
    ranked: list[tuple[int, int, int, int]] = []
    for cell in view.cells:
        if cell.is_over:
            continue
        free = [(position, run) for position, run in enumerate(cell.runs) if run.state in CLAIMABLE]
        if cell.state == "waiting":
            free = free[:1]
        ranked += [(_rank(cell, run), cell.index, position, run.seed) for position, run in free]
    return [(cell, seed) for _, cell, _, seed in sorted(ranked)]


def history(view: StudyView) -> list[tuple[Mapping[str, Any], float | None, str, int]]:
    """Each cell as (params, value, state, step of the value), as ``StudySpec.suggest`` takes them."""
    return [_history(cell) for cell in view.cells]


def _rank(cell: CellView, run: RunView) -> int:
    if run.state in ("lost", "stopped"):
        return 0
    return 1 if cell.state == "running" else 2


def _history(cell: CellView) -> tuple[Mapping[str, Any], float | None, str, int]:
    last = max(cell.intermediate, default=0)
    if cell.state == "pruned" and cell.intermediate:
        return cell.params, cell.intermediate[last], "pruned", last
    return cell.params, cell.mean, "done" if cell.state == "partial" else cell.state, last
