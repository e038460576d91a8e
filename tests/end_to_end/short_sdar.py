"""``sdar`` for the tests of this folder: as a process, or through the same entry point in this one.

Real processes are used where the process is the point (exit codes, signals, locks); the rest saves the
seconds that importing takes.
"""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sdar_cli.runs.store import RunFolder
from sdar_cli.tracking.journal import Journal

STEPS = 8
SHORT = (
    f"train.steps={STEPS}",
    "train.checkpoint_every=3",
    "rollout.tasks=2",
    "rollout.group=3",
    "rollout.max_turns=3",
    "evaluation.tasks=6",
    "evaluation.every=4",
    "tracking.traces=2",
    "tracking.trace_every=4",
    "tracking.system_metrics=false",
)
"""Overrides that make ``quickstart`` a matter of seconds, where it starts from another run."""
WARM = ("warmup.demonstrations=96", "warmup.required_success=0")
"""Further ones for a run with a warm-up."""


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def sentence(self) -> str:
        """The one sentence of a user's mistake; whatever progress was shown before it does not count."""
        errors = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert self.code == 2 and len(errors) == 1 and "Traceback" not in self.err, self
        assert self.out == ""
        assert self.err.splitlines()[-1] == errors[0]
        return errors[0].removeprefix("error: ")


@dataclass(frozen=True, slots=True)
class Sdar:
    """``sdar`` on the runs of one folder."""

    root: Path

    def __call__(self, *words: str) -> Done:
        """In this process, through the entry point."""
        from sdar_cli.cli.main import main

        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = main(self._words(words))
        return Done(code, out.getvalue(), err.getvalue())

    def start(self, *words: str) -> subprocess.Popen[str]:
        """In a process of its own, with what libraries print by default."""
        quiet = ("HF_HUB_DISABLE_PROGRESS_BARS", "TRANSFORMERS_VERBOSITY")
        environment = {name: value for name, value in os.environ.items() if name not in quiet}
        return subprocess.Popen(
            [sys.executable, "-m", "sdar_cli.cli.main", *self._words(words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.root,
            env=environment,
        )

    def process(self, *words: str) -> Done:
        """The same, awaited."""
        with self.start(*words) as process:
            out, err = process.communicate(timeout=300)
        return Done(process.returncode, out, err)

    def train(self, name: str, *words: str) -> RunFolder:
        """``sdar train --recipe quickstart``, short, to its end."""
        done = self("train", "--recipe", "quickstart", *SHORT, "--name", name, "--json", *words)
        assert done.code == 0, done.err
        run = RunFolder.open(self.root / name)
        assert (done.json["status"], done.json["step"]) == ("finished", run.state.steps)
        return run

    def _words(self, words: Sequence[str]) -> list[str]:
        return [*words, "--runs", str(self.root)]


@dataclass(frozen=True, slots=True)
class Trained:
    done: Done
    run: RunFolder


def steps_of(run: RunFolder) -> list[dict[str, float]]:
    """The journal's rows of training steps."""
    return [row for row in Journal(run.path / "metrics.jsonl").read() if "loss/total" in row]


def records(run: RunFolder, evaluation: str) -> list[Any]:
    """What each episode of an evaluation came to."""
    return json.loads(run.evaluations()[evaluation].read_text(encoding="utf-8"))["records"]


def interrupt_after(monkeypatch: pytest.MonkeyPatch, step: int, times: int = 1) -> None:
    """Send this process Ctrl-C, so many times, when a training here has written down a step."""
    from sdar_cli.training.recorder import RunRecorder

    write = RunRecorder.metrics

    def metrics(self: RunRecorder, number: int, values: Any) -> None:
        write(self, number, values)
        if number == step:
            monkeypatch.undo()
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(RunRecorder, "metrics", metrics)
