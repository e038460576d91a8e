"""What MLflow is told of a study, as plain values: counts, a table of cells, a description, each run's setting."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdar_cli.sweep.ranking import Ranked, counts_in_words, failures, panel_grid, ranked
from sdar_cli.sweep.space import as_yaml
from sdar_cli.sweep.spec import StudySpec
from sdar_cli.sweep.view import CellView, RunView, StudyView

if TYPE_CHECKING:
    from sdar_cli.tracking.tables import Table

SHOWN_CELLS = 20
"""Cells in the description; the table has all of them."""


def counts(view: StudyView) -> dict[str, float]:
    """Metrics of the study's run. The best cell's mean is that of the best of many, which flatters it."""
    states = Counter(cell.state for cell in view.cells)
    values: dict[str, float] = {f"study/cells_{state}": count for state, count in states.items()}
    values |= {f"study/runs_{state}": count for state, count in view.counts.items()}
    best = next((one for one in ranked(view) if one.rank == 1), None)
    if best is not None and best.rate is not None:
        values[f"study/best_mean_{view.spec.metric}"] = best.rate
    return values


def table(view: StudyView) -> Table:
    """A row a cell, the best first; rates in percent, intervals over seeds."""
    from sdar_cli.tracking.tables import Table

    keys = [axis.key for axis in view.spec.axes]
    metric = view.spec.metric
    columns = ["rank", "cell", *keys, metric, "low", "high", "with skills", "seeds", "state"]
    return Table("cells", columns, [_row(one, keys, view.spec) for one in ranked(view)])


def note(view: StudyView, cells: str, folder: Path) -> str:
    """The description of the study's run; ``cells`` is the table in Markdown, of which the first lines are kept."""
    from sdar_cli.tracking.notes import of_study

    lines = cells.splitlines()
    left_out = len(lines) - 2 - SHOWN_CELLS
    if left_out > 0:
        lines = [*lines[: 2 + SHOWN_CELLS], "", f"{left_out} more are in `tables/cells.json`, among the artifacts."]
    parts = ["\n".join(lines)]
    if lost := failures(view):
        parts.append("Failed: " + "; ".join(f"`{name}` ({reason})" for name, reason in lost[:5]))
    head = f"{summary(view.spec)} {counts_in_words(view.counts).capitalize()}."
    return of_study(view.spec.note, head, parts, view.spec.name, view.root or folder.parent.parent)


def summary(spec: StudySpec) -> str:
    """What is asked, in a sentence or two."""
    axes = ", ".join(f"`{axis}`" for axis in spec.axes) or "nothing"
    grid = panel_grid(spec)
    tasks = "" if grid is None else f", on {round(1 / grid)} tasks"
    return (
        f"Study of recipe `{spec.recipe}` over {axes}: {spec.total_cells} cells by {spec.search} search, "
        f"{len(spec.seeds)} seeds each, ranked by mean {spec.metric} without skills{tasks}."
    )


def child_tags(cell: CellView, run: RunView) -> dict[str, str]:
    """Tags of a cell's run, by which the runs page groups; a cell's mean is a share."""
    tags = {"sdar.cell": f"{cell.index:03d}", "sdar.setting": cell.label}
    if cell.state == "done" and cell.mean is not None:
        tags["sdar.cell_mean"] = f"{cell.mean:.4f}"
    return tags


def child_params(cell: CellView) -> dict[str, str]:
    """The setting as typed: the recipe stores ``gate.temperature`` as ``gate.beta``, and MLflow has that already."""
    return {re.sub(r"[^\w./ :-]", "_", key): as_yaml(value) for key, value in cell.params.items()}


def _row(one: Ranked, keys: list[str], spec: StudySpec) -> list[Any]:
    cell, interval = one.cell, one.interval
    name = f"{spec.metric}_skills"
    with_skills = [float(run.result[name]) for run in cell.done if name in run.result]
    scale = 1 if spec.metric == "score" else 100
    skilled = None if not with_skills else _rounded(scale * sum(with_skills) / len(with_skills))
    return [
        one.rank,
        cell.index,
        *(None if key not in cell.params else as_yaml(cell.params[key]) for key in keys),
        None if one.rate is None else _rounded(100 * one.rate),
        None if interval is None else _rounded(100 * interval.low),
        None if interval is None else _rounded(100 * interval.high),
        skilled,
        f"{len(cell.done)} of {len(cell.runs)}",
        cell.state,
    ]


def _rounded(value: float) -> float:
    return round(value, 1)
