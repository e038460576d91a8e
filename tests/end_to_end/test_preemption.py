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
from same_ending import assert_same, outcome
from short_sdar import SHORT, STEPS, Done, Sdar, steps_of

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
    "evaluation.transcripts=1",
    "tracking.traces=1",
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
UPDATE = "sdar_cli.training.update:Update.backward"
SAVING = "sdar_cli.training.trainer:SDARTrainer._save"
RARE = ("train.checkpoint_every=100", "--name", "dropped")
PHASES: list[tuple[str, signal.Signals, tuple[str, Callable[..., bool]], int]] = [
    ("warm-up", signal.SIGUSR1, phase("warm-up"), 0),
    ("base evaluation", signal.SIGINT, phase("base with skills"), 0),
    ("rollout, first step", signal.SIGTERM, step(PLAYING, 0), 0),
    ("rollout", signal.SIGUSR1, step(PLAYING, 1), 2),
    ("update", signal.SIGINT, step(UPDATE, 2), 2),
    ("checkpoint", signal.SIGTERM, step(SAVING, 3), 3),
    ("evaluation", signal.SIGUSR1, phase("trained without skills"), 4),
    ("last step", signal.SIGINT, step(UPDATE, STEPS - 1), STEPS),
    ("final evaluation", signal.SIGTERM, phase("trained with skills"), STEPS),
    ("publishing", signal.SIGUSR1, ("sdar_cli.tracking.tables:of_report", lambda *_: True), STEPS),
]
"""Name, signal, where it is sent, and the last step that is saved then."""


def whole(sdar: Sdar) -> RunFolder:
    """The same run, never told anything."""
    folder = sdar.root / "undisturbed"
    return RunFolder.open(folder) if folder.exists() else sdar.train("undisturbed", *WORDS)


def mlflow_status(run: RunFolder) -> tuple[str, str | None]:
    from mlflow import MlflowClient

    state = run.state
    found = MlflowClient(tracking_uri=state.tracking_uri).get_run(state.mlflow_run_id)
    return found.info.status, found.data.tags.get("sdar.status")


def assert_left(done: Done, run: RunFolder, number: int, *, in_time: bool = True) -> None:
    """``in_time``: with some of the grace time left, in which MLflow can be told."""
    assert done.code == CODES[number], done
    assert "Traceback" not in done.err
    assert done.err.count(f"go on with `sdar resume {run.name} --runs") == 1, done.err
    assert not [line for line in done.err.splitlines() if line.startswith("error: ")], done.err
    assert run.state.status == "interrupted"
    assert not in_time or mlflow_status(run) == ("KILLED", "interrupted")


def test_every_phase_by_every_signal(sdar: Sdar, monkeypatch: pytest.MonkeyPatch) -> None:
    """One run, told to leave in each of its phases, and resumed each time: the table of phases is in ``PHASES``."""
    run = RunFolder(sdar.root / "told")
    command: tuple[str, ...] = ("train", "--recipe", "quickstart", *WORDS, "--name", "told")
    for name, number, (target, when), saved in PHASES:
        with monkeypatch.context() as patch:
            sender = Sender(patch)
            sender.at(target, lambda number=number: send(number), when)
            done = sdar(*command, "--grace", "600")  # however slow a step is here
            assert sender.sent, f"{name} was not reached: {done}"
        assert_left(done, run, number)
        checkpoint = run.latest_checkpoint()
        assert (checkpoint.step if checkpoint else 0) == saved, name
        command = ("resume", "told")
    done = sdar(*command, "--json")
    assert done.code == 0 and done.json["status"] == "finished", done
    assert mlflow_status(run) == ("FINISHED", "finished")
    assert_same(outcome(whole(sdar)), outcome(run))


def test_steps_that_cannot_be_finished(sdar: Sdar, monkeypatch: pytest.MonkeyPatch) -> None:
    """One run again: a rollout longer than the grace time, an engine that is gone between two steps and in one, and a
    second Ctrl-C in the update and in the checkpoint that the first one asked for."""
    run = RunFolder(sdar.root / "dropped")

    def stuck() -> None:
        send(signal.SIGTERM)
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            time.sleep(0.02)
        pytest.fail("nothing ended the call")

    def gone() -> None:
        raise RunFailed("the server is gone: start it")

    def saved() -> list[int]:
        return [kept.step for kept in run.checkpoints()]

    def at(*events: tuple[str, int | None, Callable[[], None]]) -> Done:
        """``None``: in an evaluation between two steps."""
        words = ("resume", "dropped") if run.path.exists() else ("train", "--recipe", "quickstart", *WORDS, *RARE)
        with monkeypatch.context() as patch:
            for target, number, do in events:
                target, when = phase("trained without skills") if number is None else step(target, number)
                Sender(patch).at(target, do, when)
            return sdar(*words, *(("--grace", "1.5") if stuck in events[0] else ()))

    done = at(("sdar_cli.training.trainer:SDARTrainer._generate_single_turn", 2, stuck))
    assert_left(done, run, signal.SIGTERM, in_time=False)
    assert "interrupted after step 2" in done.err and saved() == [2], "in the middle of one call that has no end"

    for place, number, steps in (("an evaluation", None, [2, 4]), (PLAYING, 5, [4, 5])):
        done = at((place, number, gone))
        assert done.code == 1 and done.err.splitlines()[-1] == "error: the server is gone: start it"
        assert run.state.status == "failed" and saved() == steps, place
        assert [row["step"] for row in steps_of(run)] == [*range(1, steps[-1] + 1)], place

    done = at((UPDATE, 6, lambda: (send(signal.SIGINT), send(signal.SIGINT))))
    assert_left(done, run, signal.SIGINT)
    assert "interrupted after" not in done.err and saved() == [4, 5]

    done = at((PLAYING, 6, lambda: send(signal.SIGINT)), (SAVING, 7, lambda: send(signal.SIGINT)))
    assert_left(done, run, signal.SIGINT)
    assert "interrupted after" not in done.err and saved() == [4, 5]

    assert sdar("resume", "dropped").code == 0
    expected, got = outcome(whole(sdar)), outcome(run)
    for one in (expected, got):  # when checkpoints are written, RARE decides
        del one["checkpoints"], one["checkpoint/trainer_state.json"]["save_steps"]
    assert any("exp_avg" in part for part in got), "no moments are compared"
    assert_same(expected, got)


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


COMMANDS: list[tuple[tuple[str, ...], tuple[str, Callable[..., bool]]]] = [
    (("eval", "undisturbed", "--tasks", "2"), phase("trained with skills")),
    (("export", "undisturbed"), ("sdar_cli.export.export:make_card", lambda *_, **__: True)),
    (("compare", "undisturbed", "undisturbed"), ("sdar_cli.compare.build:build", lambda *_, **__: True)),
]


@pytest.mark.parametrize(
    ("command", "place", "number"),
    [(*one, number) for one, number in zip(COMMANDS, CODES, strict=True)],
    ids=[words[0] for words, _ in COMMANDS],
)
def test_other_commands_leave_with_a_sentence_and_nothing_half_written(
    sdar: Sdar,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    place: tuple[str, Callable[..., bool]],
    number: signal.Signals,
) -> None:
    run = whole(sdar)

    def files() -> dict[str, bytes]:
        """All but transcripts, which are written for each cell as it ends, whole."""
        found = [path for path in sorted(run.path.rglob("*")) if path.is_file()]
        return {str(path): path.read_bytes() for path in found if path.parent.name != "transcripts"}

    before, status = files(), mlflow_status(run)
    with monkeypatch.context() as patch:
        sender = Sender(patch)
        sender.at(place[0], lambda: send(number), place[1])
        done = sdar(*command)
        assert sender.sent, done
    said = "interrupted" if number == signal.SIGINT else f"interrupted by {number.name}"
    assert (done.code, done.out) == (CODES[number], "") and "Traceback" not in done.err, done
    assert [line for line in done.err.splitlines() if line.startswith("error: ")] == [f"error: {said}"]
    assert files() == before and mlflow_status(run) == status
