"""Small studies over the stand-in training, and what a test asks of them when they are over."""

from __future__ import annotations

import json
from pathlib import Path

import standin_training
from worker_nursery import Nursery

from sdar_cli.recipe.dump import dump
from sdar_cli.sweep.make import Wish, make_spec
from sdar_cli.sweep.spec import StudySpec
from sdar_cli.sweep.store import StudyStore


def spec_of(name: str = "study", words=("distill.coef=0.1,0.2,0.3,0.4,0.5",), seeds: str = "4", **wish) -> StudySpec:
    return make_spec(Wish(recipe="quickstart", words=list(words), seeds=seeds, name=name, **wish)).spec


def begin(store: StudyStore, cell: int, seed: int) -> Path:
    """A run's folder, as its training leaves it that was killed before its first step."""
    folder, params = store.run_folder(cell, seed), store.view().cells[cell].params
    recipe = store.folder / "begun.yaml"
    recipe.write_text(dump(store.spec.run_recipe(params, seed, cell).recipe), "utf-8")
    standin_training.make(folder, recipe)
    return folder


def outcomes(store: StudyStore) -> dict[str, tuple]:
    """Run → (state, success, steps, weights), less the study's name."""
    found = {}
    for run in store.view().runs:
        report = store.root / run.name / "evaluations" / "report.json"
        weights = json.loads(report.read_text())["weights"] if report.exists() else None
        key = run.name.removeprefix(store.name)
        found[key] = (run.state, run.result.get("success"), run.result.get("steps"), weights)
    return found


def check_whole(store: StudyStore) -> None:
    """All finished, none twice, none lost, no two processes at one run, no step left out."""
    view = store.view()
    assert view.is_over
    assert view.counts == {"done": view.total_runs}
    for run in view.runs:
        assert [attempt.state for attempt in run.attempts].count("done") == 1
        log = guard(store, run.name)
        assert "TOGETHER" not in log
        assert "AGAIN" not in log
        assert log.count("finished") <= 1
        check_steps(log)
    for cell, trial in store.cells.all().items():
        assert trial.state.name == "COMPLETE"
        assert trial.value == view.cells[cell].mean


def work(nursery: Nursery, store: StudyStore, **options) -> str | None:
    """A worker, from its start to its end; how it left."""
    return nursery.wait([nursery.start(store.folder, store.root, **options)])[0]


def state(store: StudyStore, run: str) -> str | None:
    file = store.root / run / "run.json"
    return json.loads(file.read_text())["status"] if file.exists() else None


def guard(store: StudyStore, run: str) -> list[str]:
    return (store.root / "guard" / run / "log").read_text().splitlines()


def check_steps(log: list[str]) -> None:
    """Each process plays consecutive steps; the first ever is step 1, and none skips ahead of what was played."""
    reached = 0
    for start in "\n".join(log).split("start ")[1:]:
        steps = [int(line[5:]) for line in start.splitlines() if line.startswith("step ")]
        if steps:
            assert steps == list(range(steps[0], steps[-1] + 1))
            assert steps[0] <= reached + 1
            reached = max(reached, steps[-1])


def write_behaviour(root: Path, **wanted) -> None:
    root.mkdir(parents=True, exist_ok=True)
    (root / "behaviour.json").write_text(json.dumps(wanted))
