"""Told to leave, at every phase of a run and by every signal: the run says how it goes on, and ends as if it had never
been told."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from short_sdar import SHORT, STEPS, Done, Sdar, records, steps_of

from sdar_cli.errors import RunFailed
from sdar_cli.runs.store import RunFolder

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGUSR1: 138}
DEADLINE = 120.0
"""Seconds; reached only where something hangs."""
WORDS = (
    *SHORT,
    "warmup.demonstrations=32",  # a warm-up that no other test has made
    "warmup.required_success=0",
    "skills.retrieval=ucb",
    "teacher.kind=ema",
    "optimiser.tokens_per_microbatch=600",
    "evaluation.tasks=3",
)


def send(number: int) -> None:
    os.kill(os.getpid(), number)
    for _ in range(10):  # Python looks for signals between two instructions
        pass


@dataclass
class Sender:
    """Sends a signal to this process when a function is called for the n-th time; or does something else then."""

    monkeypatch: pytest.MonkeyPatch
    sent: bool = False

    def at(self, target: str, do: Callable[[], None], when: Callable[..., bool] = lambda *_, **__: True) -> None:
        import importlib

        module, _, path = target.partition(":")
        owner: Any = importlib.import_module(module)
        *names, last = path.split(".")
        for name in names:
            owner = getattr(owner, name)
        original = getattr(owner, last)
        self.sent = False

        def call(*args: Any, **kwargs: Any) -> Any:
            if not self.sent and when(*args, **kwargs):
                self.sent = True
                do()
            return original(*args, **kwargs)

        self.monkeypatch.setattr(owner, last, call)


def phase(name: str) -> tuple[str, Callable[..., bool]]:
    """In the middle of a phase of the progress display."""
    return "sdar_cli.cli.display:Display.advance", lambda display, *_, **__: display._phase == name


def step(target: str, number: int) -> tuple[str, Callable[..., bool]]:
    """In a step of the training, counted from 0."""

    def when(one: Any, *_: Any, **__: Any) -> bool:
        return getattr(one, "trainer", one).state.global_step == number

    return target, when


PLAYING = "sdar_cli.training.playing:Playing.generate"
PHASES: list[tuple[str, signal.Signals, tuple[str, Callable[..., bool]], int]] = [
    ("warm-up", signal.SIGUSR1, phase("warm-up"), 0),
    ("base evaluation", signal.SIGINT, phase("base with skills"), 0),
    ("rollout, first step", signal.SIGTERM, step(PLAYING, 0), 0),
    ("rollout", signal.SIGUSR1, step(PLAYING, 1), 2),
    ("update", signal.SIGINT, step("sdar_cli.training.update:Update.backward", 2), 2),
    ("checkpoint", signal.SIGTERM, step("sdar_cli.training.trainer:SDARTrainer._save", 3), 3),
    ("evaluation", signal.SIGUSR1, phase("trained without skills"), 4),
    ("last step", signal.SIGINT, step("sdar_cli.training.update:Update.backward", STEPS - 1), STEPS),
    ("final evaluation", signal.SIGTERM, phase("trained with skills"), STEPS),
    ("publishing", signal.SIGUSR1, ("sdar_cli.tracking.tables:of_report", lambda *_: True), STEPS),
]
"""Name, signal, where it is sent, and the last step that is saved then."""


def whole(sdar: Sdar) -> RunFolder:
    """The same run, never told anything."""
    folder = sdar.root / "undisturbed"
    return RunFolder.open(folder) if folder.exists() else sdar.train("undisturbed", *WORDS)


def weights(run: RunFolder) -> dict[str, bytes]:
    """Of the last checkpoint: of model, moments and average."""
    checkpoint = run.latest_checkpoint()
    assert checkpoint is not None and checkpoint.step == STEPS
    return {path.name: path.read_bytes() for path in sorted(checkpoint.path.glob("*.safetensors"))}


def assert_same_ending(run: RunFolder, other: RunFolder) -> None:
    def measured(one: RunFolder) -> list[dict[str, float]]:
        return [{key: value for key, value in row.items() if not key.startswith("time/")} for row in steps_of(one)]

    assert measured(run) == measured(other)
    assert run.evaluations().keys() == other.evaluations().keys()
    for name in run.evaluations().keys() - {"report"}:
        assert records(run, name) == records(other, name), name
    assert weights(run) == weights(other)


def mlflow_status(run: RunFolder) -> tuple[str, str | None]:
    from mlflow import MlflowClient

    state = run.state
    found = MlflowClient(tracking_uri=state.tracking_uri).get_run(state.mlflow_run_id)
    return found.info.status, found.data.tags.get("sdar.status")


def assert_left(done: Done, run: RunFolder, number: int) -> None:
    assert done.code == CODES[number], done
    assert "Traceback" not in done.err
    assert done.err.count(f"go on with `sdar resume {run.name} --runs") == 1, done.err
    assert not [line for line in done.err.splitlines() if line.startswith("error: ")], done.err
    assert run.state.status == "interrupted"
    assert mlflow_status(run) == ("KILLED", "interrupted")


def test_every_phase_by_every_signal(sdar: Sdar, monkeypatch: pytest.MonkeyPatch) -> None:
    """One run, told to leave in each of its phases, and resumed each time: the table of phases is in ``PHASES``."""
    run = RunFolder(sdar.root / "told")
    command: tuple[str, ...] = ("train", "--recipe", "quickstart", *WORDS, "--name", "told")
    for name, number, (target, when), saved in PHASES:
        with monkeypatch.context() as patch:
            sender = Sender(patch)
            sender.at(target, lambda number=number: send(number), when)
            done = sdar(*command)
            assert sender.sent, f"{name} was not reached: {done}"
        assert_left(done, run, number)
        checkpoint = run.latest_checkpoint()
        assert (checkpoint.step if checkpoint else 0) == saved, name
        command = ("resume", "told")
    done = sdar(*command, "--json")
    assert done.code == 0 and done.json["status"] == "finished", done
    assert mlflow_status(run) == ("FINISHED", "finished")
    assert_same_ending(run, whole(sdar))


def test_a_rollout_longer_than_the_grace_is_dropped_and_saved_exactly(
    sdar: Sdar, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of one call that would never end; its steps so far said that it would."""
    reference = whole(sdar)

    def stuck() -> None:
        send(signal.SIGTERM)
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            time.sleep(0.02)
        pytest.fail("nothing ended the call")

    with monkeypatch.context() as patch:
        Sender(patch).at("sdar_cli.training.trainer:SDARTrainer._generate_single_turn", stuck, step(PLAYING, 2)[1])
        done = sdar(
            "train", "--recipe", "quickstart", *WORDS, "train.checkpoint_every=100", "--name", "long", "--grace", "1.5"
        )
    run = RunFolder.open(sdar.root / "long")
    assert_left(done, run, signal.SIGTERM)
    assert "interrupted after step 2" in done.err
    assert [kept.step for kept in run.checkpoints()] == [2]
    assert sdar("resume", "long").code == 0
    assert_same_ending(run, reference)


def test_what_was_before_a_step_that_failed_is_saved(sdar: Sdar, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine or the environment is gone in the middle of a rollout."""
    reference = whole(sdar)

    def gone() -> None:
        raise RunFailed("the server is gone: start it")

    with monkeypatch.context() as patch:
        Sender(patch).at(*step(PLAYING, 5)[:1], gone, step(PLAYING, 5)[1])
        done = sdar(
            "train", "--recipe", "quickstart", *WORDS, "train.checkpoint_every=100", "--name", "gone", "--grace", "1.5"
        )
    run = RunFolder.open(sdar.root / "gone")
    assert done.code == 1 and done.err.splitlines()[-1] == "error: the server is gone: start it"
    assert run.state.status == "failed" and [kept.step for kept in run.checkpoints()] == [5]
    assert sdar("resume", "gone").code == 0
    assert_same_ending(run, reference)


def test_a_second_ctrl_c_leaves_at_once(sdar: Sdar, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle of an update, and in the middle of the checkpoint that the first one asked for."""
    reference = whole(sdar)
    run = RunFolder(sdar.root / "twice")

    def twice() -> None:
        send(signal.SIGINT)
        send(signal.SIGINT)

    command: tuple[str, ...] = ("train", "--recipe", "quickstart", *WORDS, "--name", "twice")
    for (target, when), first in (
        (step("sdar_cli.training.update:Update.backward", 4), twice),
        (step("sdar_cli.training.trainer:SDARTrainer._save", 5), twice),
    ):
        with monkeypatch.context() as patch:
            Sender(patch).at(target, first, when)
            if target.endswith("_save"):
                Sender(patch).at(*step(PLAYING, 4)[:1], lambda: send(signal.SIGINT), step(PLAYING, 4)[1])
            done = sdar(*command)
        assert_left(done, run, signal.SIGINT)
        assert "interrupted after" not in done.err
        assert [kept.step for kept in run.checkpoints()] == [3]
        command = ("resume", "twice")
    assert sdar(*command).code == 0
    assert_same_ending(run, reference)


def test_while_libraries_are_imported(sdar: Sdar) -> None:
    """Before there is a run: one sentence, the code, and nothing left."""
    before = set(sdar.root.iterdir())
    with sdar.start("train", "--recipe", "quickstart", *SHORT, "--name", "early") as process:
        maps = Path(f"/proc/{process.pid}/maps")
        end = time.monotonic() + DEADLINE
        while "libtorch" not in maps.read_text():
            assert process.poll() is None and time.monotonic() < end, process.communicate()
            time.sleep(0.002)
        process.send_signal(signal.SIGUSR1)
        out, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 138 and out == "", (out, err)
    if not (sdar.root / "early").exists():
        assert err.splitlines()[-1] == "error: interrupted by SIGUSR1" and set(sdar.root.iterdir()) == before
    else:
        assert err.count("go on with `sdar resume early --runs") == 1
    assert "Traceback" not in err
