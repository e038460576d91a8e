"""Studies and runs in any state, written by hand: no worker, no training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sdar_cli.recipe.load import load_recipe
from sdar_cli.runs.store import RunFolder
from sdar_cli.sweep.claims import Entry
from sdar_cli.sweep.cost import TIMES
from sdar_cli.sweep.processes import Claimant
from sdar_cli.sweep.store import StudyStore
from sdar_cli.tracking.journal import Journal


def claim(store: StudyStore, cell: int, seed: int, from_step: int = 0) -> Entry:
    """An attempt of this process, running."""
    store.cells.draw(cell, store.spec.grid()[cell])
    entry = store.ledger.claim(cell, seed, Claimant.here(), from_step=from_step)
    assert entry is not None
    return entry


def done(store: StudyStore, cell: int, seed: int, success: float, **result: Any) -> None:
    result = {"success": success, "success_skills": 1.0, "score": 100 * success, "score_skills": 100.0} | result
    result = {"steps": 100, "seconds": 60.0, "collapsed": False, "mlflow_run_id": None, "evaluations": []} | result
    entry = claim(store, cell, seed)
    assert store.ledger.finish(entry, "done", result=result, value=success)


def failed(store: StudyStore, cell: int, seed: int, reason: str) -> None:
    assert store.ledger.finish(claim(store, cell, seed), "failed", reason=reason)


def folder(root: Path, name: str, step: int, steps: int, **metrics: float) -> None:
    """What a training run leaves behind while it is at work."""
    path = root / name
    path.mkdir(parents=True)
    (path / "run.json").write_text(json.dumps({"status": "training", "step": step, "steps": steps}))
    rows = [{"step": number, "loss/total": 1.0} | metrics for number in range(1, step + 1)]
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"step": ')


def run_of(
    root: Path,
    name: str,
    step_seconds: list[float],
    *overrides: str,
    rest: float = 30.0,
    status: str = "finished",
    recipe: str = "quickstart",
    rewinds: int = 1,
) -> RunFolder:
    """A run that took these seconds a step, a fifth of them in each part, and ``rest`` beside them."""
    run = RunFolder.create(root, load_recipe(recipe, overrides=list(overrides)), name)
    journal = Journal(run.path / "metrics.jsonl")
    journal.append(0, {"eval/no_skills/success": 0.1})
    for _ in range(rewinds):
        journal.rewind(0)
    for step, seconds in enumerate(step_seconds, 1):
        journal.append(step, dict.fromkeys(TIMES, seconds / 5))
    run.update(status=status, ended=run.state.started + sum(step_seconds) + rest)
    return run
