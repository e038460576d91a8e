"""Studies at some moment, made of thin air: a cell's runs are done with what a function of the setting says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sdar_cli.sweep.space import Axis, read_words
from sdar_cli.sweep.spec import StudySpec
from sdar_cli.sweep.view import CellView, RunView, StudyView

Outcome = Callable[[Mapping[str, Any], int], float | None]
"""(setting, seed) → share solved without skills; None for a run that is not done."""
RECIPE = "name: toy\nevaluation: {tasks: 40}\ntracking: {experiment: null}\n"


def study_spec(name: str, words: Sequence[str], settings: Sequence[Mapping[str, Any]], **changes: Any) -> StudySpec:
    axes: tuple[Axis, ...] = read_words(words)[0]
    values = {"search": "grid", "seeds": (1, 2, 3), "recipe_yaml": RECIPE} | changes
    return StudySpec(
        name=name,
        recipe="quickstart",
        layers=(),
        axes=axes,
        cells=len(settings),
        settings=tuple(map(dict, settings)),
        **values,
    )


def study_view(
    spec: StudySpec, outcome: Outcome, run_ids: Callable[[str], str | None] = lambda name: None
) -> StudyView:
    """A view in which a cell is done when all its runs are; ``run_ids`` gives MLflow's id of a run by its name."""
    cells = []
    for index, params in enumerate(spec.grid()):
        runs = tuple(_run(spec, index, seed, outcome(params, seed), run_ids) for seed in spec.seeds)
        done = [run.result["success"] for run in runs if run.state == "done"]
        state = "done" if len(done) == len(runs) else "running" if done else "waiting"
        mean = sum(done) / len(done) if done else None
        cells.append(CellView(index, params, spec.label(params), state, runs, mean))
    return StudyView(spec, tuple(cells), paused=False, created=1000.0, root=Path("/runs"))


def _run(spec: StudySpec, cell: int, seed: int, success: float | None, run_ids: Callable[[str], str | None]) -> RunView:
    name = spec.run_name(cell, seed)
    if success is None:
        return RunView(cell, seed, name, "waiting", (), {})
    rates = {"success": success, "success_skills": 0.9, "score": 100 * success, "score_skills": 90.0}
    more = {"steps": 8, "seconds": 2.0, "collapsed": False, "mlflow_run_id": run_ids(name), "evaluations": []}
    return RunView(cell, seed, name, "done", (), rates | more)
