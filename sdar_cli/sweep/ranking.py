"""Cells in the order of what they came to, each with its interval over seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sdar_cli.recipe.yaml_reader import parse
from sdar_cli.statistics import Interval, as_json, mean_over_seeds
from sdar_cli.sweep.spec import StudySpec
from sdar_cli.sweep.view import CellView, RunView, StudyView


@dataclass(frozen=True, slots=True)
class Ranked:
    """A cell. Rates are shares, also of the score."""

    rank: int | None
    """From 1, of cells whose runs are all done; None of others."""
    cell: CellView
    rate: float | None
    """Mean of the study's metric over the runs that are done; of a pruned cell without one, the last that was seen."""
    interval: Interval | None
    """Student's t over the seeds that are done; None for fewer than two."""

    def to_json(self) -> dict[str, Any]:
        cell = self.cell
        return {
            "rank": self.rank,
            "cell": cell.index,
            "params": dict(cell.params),
            "label": cell.label,
            "state": cell.state,
            "mean": self.rate,
            "interval": as_json(self.interval),
            "seeds": len(cell.done),
            "runs": [run_json(run) for run in cell.runs],
        }


def ranked(view: StudyView) -> list[Ranked]:
    """All cells of a view: those that are done by their mean, the best first; then the others, best first, by index."""
    scale = 100 if view.spec.metric == "score" else 1
    grid = panel_grid(view.spec) if view.spec.metric == "success" else None
    rows = [(cell, _rate(cell, scale), _interval(cell, view.spec.metric, scale, grid)) for cell in view.cells]
    rows.sort(key=lambda row: (row[0].state != "done", math.inf if row[1] is None else -row[1], row[0].index))
    return [
        Ranked(place + 1 if cell.state == "done" else None, cell, rate, interval)
        for place, (cell, rate, interval) in enumerate(rows)
    ]


def panel_grid(spec: StudySpec) -> float | None:
    """1/tasks of the panel: the step of a success rate; None where the recipe does not say."""
    section = (parse(spec.recipe_yaml, "the study's recipe").value or {}).get("evaluation") or {}
    varied = any(axis.key.startswith("evaluation") for axis in spec.axes)
    if varied or section.get("panel") is not None or not section.get("tasks"):
        return None
    return 1 / section["tasks"]


def run_json(run: RunView) -> dict[str, Any]:
    return {
        "seed": run.seed,
        "name": run.name,
        "state": run.state,
        "attempts": len(run.attempts),
        "worker": run.attempts[-1].worker if run.attempts else None,
        "reason": run.reason,
        "result": {name: value for name, value in run.result.items() if name != "evaluations"},
    }


def failures(view: StudyView) -> list[tuple[str, str]]:
    """Name and sentence of the runs that failed."""
    return [(run.name, run.reason or "no reason was told") for run in view.runs if run.state == "failed"]


def counts_in_words(counts: Mapping[str, int]) -> str:
    """``5 done, 2 running, 5 waiting``."""
    order = ("done", "running", "waiting", "stopped", "lost", "pruned", "failed")
    return ", ".join(f"{counts[state]} {state}" for state in order if counts.get(state)) or "nothing to run"


def _rate(cell: CellView, scale: float) -> float | None:
    if cell.mean is not None:
        return cell.mean / scale
    seen = cell.intermediate
    return seen[max(seen)] / scale if seen else None


def _interval(cell: CellView, metric: str, scale: float, grid: float | None) -> Interval | None:
    values = [min(1.0, max(0.0, float(run.result[metric]) / scale)) for run in cell.done]
    return mean_over_seeds(values, grid=grid) if len(values) > 1 else None
