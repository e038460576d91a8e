"""Memory that runs out on one of two ranks, in an update in which they wait for each other: the run ends, with the
sentence, and goes on from its last checkpoint."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from sdar_cli.models.tiny import create
from sdar_cli.recipe.load import load_recipe
from sdar_cli.runs.manifest import damage
from sdar_cli.runs.store import RunFolder
from sdar_cli.tracking.journal import Journal
from sdar_cli.workshop import Workshop

DEADLINE = 240.0
"""Seconds; reached only where something hangs."""
CRAMPED = """
import os

import torch

from sdar_envs.household.environment import Household


class Cramped(Household):
    def __init__(self, options=None):
        super().__init__(options)
        if os.environ.get("RANK") == "1":
            from sdar_cli.training.update import Update

            own = Update.inputs

            def inputs(update, *about):
                if update.trainer.state.global_step == 2:
                    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
                return own(update, *about)

            Update.inputs = inputs
"""
SHORT = (
    "train.steps=4",
    "train.checkpoint_every=1",
    "rollout.tasks=2",
    "rollout.group=2",
    "rollout.max_turns=3",
    "evaluation.tasks=2",
    "evaluation.every=0",
    "evaluation.transcripts=0",
    "tracking.traces=0",
    "tracking.system_metrics=false",
    "warmup=null",
    "model.tiny=null",
)


def ended(*words: str) -> tuple[int, str]:
    """Exit code and standard error of a command; whatever it leaves behind is ended."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sdar_cli.cli.main", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )
    try:
        _, err = process.communicate(timeout=DEADLINE)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return process.returncode, err


def test_one_of_two_ranks_has_no_room(tmp_path: Path) -> None:
    recipe = load_recipe("quickstart").recipe
    with Workshop.open(recipe) as workshop:
        base = create(recipe, workshop.environment, workshop.bank, tmp_path / "base").folder
    cramped = tmp_path / "cramped.py"
    cramped.write_text(CRAMPED, encoding="utf-8")
    where = ("--runs", str(tmp_path), "--nproc", "2")
    words = ("--name", "cramped", "--model", str(base), *SHORT, f"environment.name={cramped}:Cramped")
    code, err = ended("train", "--recipe", "quickstart", *where, *words)
    assert code == 1 and "Traceback" not in err, err
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and errors[0].startswith("error: memory ran out in an update, with at most "), err
    assert "optimiser.tokens_per_microbatch" in errors[0] and errors[0].endswith("and start the run again")
    run = RunFolder.open(tmp_path / "cramped")
    assert run.state.status == "failed" and f"error: {run.state.error}" == errors[0]
    last = run.latest_checkpoint()
    assert last is not None and last.step == 2 and damage(last.path, deep=True) is None
    assert not run.lock().is_held()
    cramped.write_text(CRAMPED.replace("global_step == 2", "global_step < 0"), encoding="utf-8")
    code, err = ended("resume", "cramped", *where)
    assert code == 0, err
    assert [row["step"] for row in Journal(run.path / "metrics.jsonl").read() if "loss/total" in row] == [1, 2, 3, 4]
