"""``sdar train --nproc 2`` as a user runs it: how it starts, stops and fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from sdar_cli.rollout.replay import read_rollouts
from sdar_cli.runs.store import RunFolder
from sdar_cli.tracking.journal import Journal

pytestmark = [pytest.mark.train, pytest.mark.long]

DEADLINE = 180.0
"""Seconds; reached only where something hangs."""
SHORT = (
    "train.steps=400",
    "train.checkpoint_every=100",
    "rollout.tasks=2",
    "rollout.group=2",
    "rollout.max_turns=3",
    "evaluation.tasks=2",
    "evaluation.transcripts=0",
    "tracking.traces=0",
    "tracking.system_metrics=false",
    "warmup=null",
)


@pytest.fixture(scope="module")
def household_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random policy for household; it acts at random, so that its episodes end at different turns."""
    from sdar_cli.models.tiny import create
    from sdar_cli.recipe.load import load_recipe
    from sdar_cli.workshop import Workshop

    recipe = load_recipe("quickstart").recipe
    with Workshop.open(recipe) as workshop:
        return create(recipe, workshop.environment, workshop.bank, tmp_path_factory.mktemp("ranks") / "base").folder


def start(root: Path, base: Path, name: str, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "sdar_cli.cli.main", "train", "--recipe", "quickstart", "--name", name]
    command += ["--runs", str(root), "--model", str(base), "model.tiny=null", *SHORT, *words]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
    )


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Whatever happens: of processes that wait for each other none would end by itself."""
    import psutil

    with process:
        try:
            yield process
        except BaseException:
            for one in [*psutil.Process(process.pid).children(recursive=True), process]:
                one.kill()
            raise


def wait_for_steps(run: Path, process: subprocess.Popen[str], steps: int) -> None:
    end = time.monotonic() + DEADLINE
    while len(Journal(run / "metrics.jsonl").read()) <= steps:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.01)


def errors(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("error: ")]


@pytest.mark.parametrize(
    ("launcher", "number", "code"), [("torchrun", signal.SIGTERM, 143), ("accelerate", signal.SIGUSR1, 138)]
)
def test_a_signal_to_the_launcher_stops_both_ranks_at_one_step(
    household_base: Path, tmp_path: Path, launcher: str, number: signal.Signals, code: int
) -> None:
    with start(tmp_path, household_base, "stopped", "--nproc", "2", "--launcher", launcher) as process:
        wait_for_steps(tmp_path / "stopped", process, 2)
        process.send_signal(number)
        out, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == code, err
    run = RunFolder.open(tmp_path / "stopped")
    [saved] = run.checkpoints()
    assert run.state.status == "interrupted" and saved.step == run.state.step >= 2
    assert {path.name for path in saved.path.glob("training/random*")} == {"random-0.json", "random-1.json"}
    first = err.splitlines()[0]
    assert first.startswith(f"launching: {launcher} ") and "-m sdar_cli.cli.main train " in first
    assert not errors(err) and "Traceback" not in err and err.count("stopping: ") == 1
    assert out.count("go on with") == 1


def test_a_mistake_that_one_rank_finds_is_said_once_with_its_code(household_base: Path, tmp_path: Path) -> None:
    recording = tmp_path / "rollouts.jsonl"
    from tiny_training import episodes

    from sdar_cli.rollout.replay import append_rollout

    append_rollout(recording, 0, episodes(0, 50, groups=1, group=2))
    words = ("--nproc", "2", "--launcher", "accelerate", f"rollout.replay={recording}")
    process = start(tmp_path, household_base, "lacking", *words)
    out, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 2, err
    assert [line for line in errors(err) if "has no group 1 at step 0" in line] == errors(err) and len(errors(err)) == 1
    assert out == "" and "Traceback" not in err


def test_a_rank_that_is_killed_ends_the_run_with_a_sentence(household_base: Path, tmp_path: Path) -> None:
    import psutil

    with start(tmp_path, household_base, "killed", "--nproc", "2") as process:
        wait_for_steps(tmp_path / "killed", process, 1)
        ranks = psutil.Process(process.pid).children()
        second = next(rank for rank in ranks if rank.environ()["RANK"] == "1")
        second.kill()
        _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 1, err
    assert len(errors(err)) == 1 and "sdar resume" in errors(err)[0] and "Traceback" not in err
    state = RunFolder.open(tmp_path / "killed").state
    assert (state.status, state.error) == ("failed", errors(err)[0].removeprefix("error: "))
    assert not any(rank.is_running() for rank in ranks)


@pytest.mark.parametrize(
    "dist",
    [
        "fsdp2",
        pytest.param(
            "zero3", marks=pytest.mark.skipif(find_spec("deepspeed") is None, reason="DeepSpeed is not installed")
        ),
    ],
)
def test_ranks_with_weights_in_parts_play_without_waiting_for_each_other(
    household_base: Path, tmp_path: Path, dist: str
) -> None:
    """Sampled, not replayed: other numbers of episodes, turns and batches on either rank, in rollouts and in
    evaluations between steps."""
    recording = tmp_path / "rollouts.jsonl"
    words = ["train.steps=2", "rollout.tasks=3", "engine.max_batch=3", "teacher.kind=live", "rollout.max_turns=5"]
    words += ["rollout.context=full", "rollout.max_prompt_tokens=110", "rollout.max_response_tokens=8"]
    words += ["optimiser.rows_per_update=4", "optimiser.tokens_per_microbatch=200"]
    words += ["evaluation.tasks=7", "evaluation.every=1", f"rollout.record={recording}"]
    with ended(start(tmp_path, household_base, "unequal", "--nproc", "2", "--dist", dist, *words)) as process:
        _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0, err
    played = read_rollouts(recording)
    assert [len(episodes) for episodes in played.values()] == [6, 6]
    turns = [[len(e.turns) for e in played[0] if e.group % 2 == rank] for rank in range(2)]
    assert len(turns[0]) == 2 * len(turns[1]) and max(turns[0]) > max(turns[1])
    rows = Journal(tmp_path / "unequal" / "metrics.jsonl").read()
    assert [row["eval/no_skills/episodes"] for row in rows] == [7, 7, 7]
    assert [row["optim/updates"] for row in rows[1:]] == [2, 2]
