"""The README's example in small: two cells of one seed, real trainings in two processes, to the table.

More seeds and cells are trained by stand-ins (test_sweep_command_run.py), and by benchmarks/sweep_kills.py.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sdar_cli.recipe.load import load_recipe
from sdar_cli.runs.store import RunFolder
from sdar_cli.sweep.store import StudyStore

pytestmark = pytest.mark.long

SMALL = (
    "train.steps=3",
    "rollout.tasks=2",
    "rollout.group=2",
    "rollout.max_turns=2",
    "evaluation.tasks=4",
    "evaluation.transcripts=0",
    "tracking.traces=0",
    "tracking.system_metrics=false",
    "warmup.demonstrations=64",
    "warmup.required_success=0",
    "warmup.seed=0",
)


@pytest.mark.train
def test_a_study_from_the_command_line_to_its_table(tmp_path: Path) -> None:
    words = ["--recipe", "quickstart", "gate.temperature=0.2,1", "--seeds", "1", "--jobs", "2", "--name", "tiny"]
    command = [sys.executable, "-m", "sdar_cli.cli.main", "sweep", *words, *SMALL, "--runs", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=580)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("tiny: over; of 2 runs 2 done\n")
    store = StudyStore.open("tiny", tmp_path)
    figures = store.folder / "figures"
    assert f"figures      {figures}\n" in done.stdout and (figures / "response-gate.temperature.png").is_file()
    view = store.view()
    assert view.counts == {"done": 2} and all(len(run.attempts) == 1 for run in view.runs)
    assert [cell.label for cell in view.cells] == ["gate.temperature=0.2", "gate.temperature=1"]
    for cell in view.cells:
        for run in cell.runs:
            folder = RunFolder.open(tmp_path / run.name)
            overrides = [f"{key}={value}" for key, value in cell.params.items()]
            alone = load_recipe("quickstart", overrides=[*SMALL, *overrides, f"seed={run.seed}"]).recipe
            recipe = folder.recipe()
            assert recipe.model_dump(exclude={"tracking"}) == alone.model_dump(exclude={"tracking"})
            assert recipe.tracking.parent == store.spec.mlflow_parent and recipe.tracking.group == "tiny"
            report = json.loads((folder.path / "evaluations" / "report.json").read_text())
            assert run.result["success"] == report["cells"][-1]["no_skills"]["success"]["estimate"]
            assert run.result["mlflow_run_id"] == folder.state.mlflow_run_id
