"""Ctrl-C, ``sdar resume``, and one process at a time: nothing is lost, nothing is done twice."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable

import pytest
from short_sdar import SHORT, STEPS, WARM, Done, Sdar, Trained, interrupt_after, records, steps_of

from sdar_cli.runs.store import RunFolder
from sdar_cli.tracking.journal import Journal

DEADLINE = 120.0
"""Seconds; reached only where something hangs."""


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.005)


def measured(run: RunFolder) -> list[dict[str, float]]:
    """The journal's steps without what a clock measured."""
    return [{k: v for k, v in row.items() if not k.startswith("time/")} for row in steps_of(run)]


@pytest.fixture(scope="module")
def stopped(sdar: Sdar, trained: Trained) -> tuple[Done, Done, RunFolder]:
    """A process stopped in its training, one that meanwhile tried the same run, and the run."""
    run = sdar.root / "stopped"
    process = sdar.start("train", "--recipe", "quickstart", *SHORT, *WARM, "--name", "stopped")
    with process:
        wait_for((run / "run.lock").exists, process)
        second = sdar("resume", "stopped")
        wait_for(lambda: Journal(run / "metrics.jsonl").read()[1:], process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=DEADLINE)
    return Done(process.returncode, out, err), second, RunFolder.open(run)


def test_a_second_process_is_refused(sdar: Sdar, stopped: tuple[Done, Done, RunFolder]) -> None:
    _, second, run = stopped
    sentence = second.sentence()
    assert f"is working on {run.path}" in sentence and "kill -INT" in sentence
    with run.lock():
        again = sdar("train", "--recipe", "quickstart", *SHORT, *WARM, "--name", "stopped", "--auto-resume")
    assert f"is working on {run.path}" in again.sentence()


def test_ctrl_c_saves_and_says_how_to_go_on(stopped: tuple[Done, Done, RunFolder]) -> None:
    done, _, run = stopped
    assert done.code == 130, done
    command = f"sdar resume stopped --runs {run.path.parent}"
    assert f"go on with `{command}`" in done.err and command in done.out and "Traceback" not in done.err
    state = run.state
    assert state.status == "interrupted" and 1 <= state.step < STEPS
    assert run.latest_checkpoint().step == state.step, "the step that was under way is kept"


def test_resuming_ends_where_an_uninterrupted_run_ends(
    sdar: Sdar, trained: Trained, stopped: tuple[Done, Done, RunFolder]
) -> None:
    *_, run = stopped
    at = run.state.step
    done = sdar("resume", "stopped", "--json")
    assert done.code == 0 and done.json["status"] == "finished", done.err
    assert "base without skills" not in done.err, "the base was measured before"
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    played = [line["step"] for line in lines if "loss/total" in line]
    assert played == list(range(1, STEPS + 1)), f"each step once; stopped after {at}"
    assert measured(run) == measured(trained.run)
    for name in (f"trained-step-{STEPS}-no_skills", f"trained-step-{STEPS}-skills"):
        assert records(run, name) == records(trained.run, name)


def test_a_finished_run_is_not_resumed(sdar: Sdar, trained: Trained) -> None:
    assert "is finished" in sdar("resume", "first").sentence()


def test_a_finished_run_is_shown_by_the_command_that_trained_it(sdar: Sdar, trained: Trained) -> None:
    """``--auto-resume``, as a job that is put into the queue once more has it."""
    command = ("train", "--recipe", "quickstart", *SHORT, *WARM, "--name", "first", "--auto-resume")
    done = sdar(*command, "--json")
    assert done.code == 0 and done.json == trained.done.json, done.err
    assert "seed" in sdar(*command, "--seed", "7").sentence()


def test_a_kill_costs_the_steps_since_the_checkpoint_alone(
    sdar: Sdar, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A live teacher; stopped twice, the second time with a step in the journal that no checkpoint holds."""
    changes = ["train.steps=4", "evaluation.tasks=2"]
    live = [
        *changes,
        "--init-from",
        "first",
        "teacher.kind=live",
        "distill.coef=0.3",
        "train.checkpoint_every=2",
    ]
    whole = sdar.train("whole", *live)
    interrupt_after(monkeypatch, step=3, times=2)
    done = sdar("train", "--recipe", "quickstart", *SHORT, *live, "--name", "killed")
    assert done.code == 130, done.err
    run = RunFolder.open(sdar.root / "killed")
    assert run.state.status == "interrupted" and run.latest_checkpoint().step == 2
    assert [row["step"] for row in steps_of(run)] == [1, 2, 3]
    assert sdar("resume", "killed").code == 0
    assert measured(run) == measured(whole)


def test_ctrl_c_before_the_training(sdar: Sdar, trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the base's evaluation: the cell that was done is kept, and the run goes on with the other."""
    from sdar_cli.training.recorder import RunRecorder

    write = RunRecorder.evaluation

    def evaluation(self: RunRecorder, *measured: object) -> None:
        write(self, *measured)
        monkeypatch.undo()
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(RunRecorder, "evaluation", evaluation)
    done = sdar("train", "--recipe", "quickstart", *SHORT, "--init-from", "first", "train.steps=1", "--name", "early")
    assert done.code == 130 and "go on with `sdar resume early --runs" in done.err, done.err
    run = RunFolder.open(sdar.root / "early")
    assert run.state.status == "interrupted" and set(run.evaluations()) == {"base-no_skills"}
    done = sdar("resume", "early", "--json")
    assert done.code == 0 and done.json["status"] == "finished", done.err
    assert "base with skills" in done.err and "base without skills" not in done.err
