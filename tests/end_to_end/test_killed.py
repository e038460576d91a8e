"""Killed with SIGKILL at chosen instants and resumed: all that is left in the end is what a quiet run leaves.

Compared are every tensor of the checkpoint (weights, moments, the averaged teacher), schedule, random states, the
retrieval's state, the trainer's, the journal, the evaluations, the transcripts, the guards' findings, and MLflow's
points; what a clock measured is left out.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from killed_sdar import Aim, killed
from same_ending import assert_same, outcome
from short_sdar import SHORT, Sdar, Trained

from sdar_cli.runs.store import RunFolder

ALL = (
    "train.steps=5",
    "train.checkpoint_every=2",
    "evaluation.tasks=2",
    "evaluation.every=2",
    "evaluation.transcripts=1",
    "tracking.traces=1",
    "tracking.trace_every=2",
    "distill.coef=0.3",
    "teacher.kind=ema",
    "skills.retrieval=ucb",
    "guards.entropy=[0.0, 1e-6]",
    "guards.patience=2",
)
"""A training with everything that has a state: the averaged teacher, the bandit, findings of the guards."""


@pytest.fixture(scope="module", autouse=True)
def _draws() -> Iterator[None]:
    """Each step draws from Python's and numpy's generators, as an environment or a retrieval of others may."""
    import numpy as np

    from sdar_cli.training.recorder import RunRecorder

    write = RunRecorder.rollout

    def rollout(self: RunRecorder, step: int, *rest: Any) -> None:
        for _ in range(step):
            random.random(), np.random.rand()
        write(self, step, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunRecorder, "rollout", rollout)
        yield


@pytest.fixture
def apart(tmp_path: Path, trained: Trained) -> Sdar:
    """A runs folder, and so an MLflow store, that this process has not opened."""
    return Sdar(tmp_path / "runs")


@pytest.fixture(scope="module")
def base(trained: Trained) -> str:
    """The folder of a model to start from."""
    return str(trained.run.latest_checkpoint().path)


@pytest.fixture(scope="module")
def quiet(sdar: Sdar, base: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The outcome of the training that nobody disturbed."""
    undisturbed = Sdar(tmp_path_factory.mktemp("quiet"))
    run = undisturbed.train("killed", *ALL, "--init-from", base)
    assert run.state.warnings, "no finding is compared"
    return outcome(run)


def curves(run: RunFolder, tag: str, value: str) -> list[Any]:
    """The store's runs with a tag."""
    from sdar_cli.tracking.quiet import import_mlflow

    client = import_mlflow().MlflowClient(tracking_uri=run.state.tracking_uri)
    experiment = client.get_experiment_by_name(run.state.experiment).experiment_id
    return list(client.search_runs([experiment], f"tags.`{tag}` = '{value}'"))


RECORDER = "sdar_cli.training.recorder:RunRecorder"
SEAMS = (
    Aim("sdar_cli.runs.store:RunFolder.create"),
    Aim("sdar_cli.tracking.journal:Journal.append"),  # the base's first cell: in the journal, not yet in MLflow
    Aim(f"{RECORDER}.rollout", 2),
    Aim(f"{RECORDER}.evaluation"),  # between steps 2 and 3: measured, and no checkpoint yet
    Aim(f"{RECORDER}.metrics", 3),
    Aim("sdar_cli.runs.store:RunFolder.prune_checkpoints", before=True),  # step 4's is there, and step 2's still is
    Aim(f"{RECORDER}.evaluation"),  # the final one without skills
    Aim("sdar_cli.tracking.tracker:Tracker.evaluation", 4),  # the one with skills, whose file is not written yet
    Aim("sdar_cli.tracking.notes:of_training", 2),  # the report is published
    Aim("sdar_cli.tracking.tracker:Tracker.finish"),  # all is done, but the run's status
)
"""Where the process goes, and the next one that resumes."""


def test_killed_at_every_seam_it_ends_as_the_quiet_one(apart: Sdar, base: str, quiet: dict[str, Any]) -> None:
    train = ["--recipe", "quickstart", *SHORT, *ALL, "--init-from", base, "--name", "killed"]
    command = ["train", *train]
    for aim in SEAMS:
        killed(apart, aim, *command)
        command = ["resume", "killed"]
        if aim is SEAMS[0]:  # as runs were once left
            (apart.root / "killed" / "panel.json").unlink()
    done = apart("resume", "--json")
    assert done.code == 0 and done.json["status"] == "finished", done.err
    assert done.err.startswith("going on with killed (lost at step 5 of 5)\n")
    assert "trained with" not in done.err, "what was measured is kept"
    assert_same(quiet, outcome(RunFolder.open(apart.root / "killed")))
    shown = apart("train", *train, "--auto-resume", "--json")
    assert shown.code == 0 and shown.json == done.json, "what is over is shown"


def test_a_warm_up_that_was_killed_is_made_again_and_held_to_what_is_required(
    apart: Sdar, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in it, after it, while MLflow was told of it, and behind the evaluation that shows how little it did."""
    monkeypatch.setenv("SDAR_CACHE", str(apart.root / "cache"))
    changes = ["train.steps=1", "evaluation.tasks=2", "evaluation.transcripts=0", "tracking.traces=0"]
    changes += ["warmup.demonstrations=16", "warmup.epochs=1", "warmup.required_success=1"]
    command = ["train", "--recipe", "quickstart", *SHORT, *changes, "--name", "weak"]
    for aim in (
        Aim("sdar_cli.training.warmup_cache:run_warmup"),
        Aim("sdar_cli.training.base:prepare_base"),
        Aim("sdar_cli.tracking.warmup:_metrics"),  # its own MLflow run is there, and has no curve
        Aim(f"{RECORDER}.evaluation", 2),
    ):
        killed(apart, aim, *command)
        command = ["resume", "weak"]
    done = apart("resume", "weak")
    assert done.code == 1 and "the warm-up reached 0% success with skills, below" in done.err, done.err
    run = RunFolder.open(apart.root / "weak")
    assert run.state.status == "failed" and run.state.error in done.err and not run.checkpoints()
    [warmed] = curves(run, "sdar.kind", "warm-up")
    assert warmed.info.status == "FINISHED" and warmed.data.tags["sdar.warmup"] == run.state.warmup
    [own] = curves(run, "sdar.folder", str(run.path))
    assert own.info.status == "FAILED" and own.data.tags["sdar.warmup"] == run.state.warmup
