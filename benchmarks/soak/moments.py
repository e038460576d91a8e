"""Instants at which a training is killed, found from outside by watching it (``evidence.py``)."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from soak.evidence import MLFLOW, Evidence
from soak.process import Sdar

POLL = 0.0005
"""Seconds between two looks."""


@dataclass(frozen=True, slots=True)
class Quiet:
    """What the undisturbed run took, in seconds; sizes the draws."""

    step: float
    """From one step's metrics to the next's, the mean."""
    generation: float
    """Share of it before the update."""
    evaluation: float
    """One evaluation, the median."""
    total: float

    @classmethod
    def of(cls, run: Path, total: float) -> Quiet:
        from sdar_cli.tracking.journal import Journal

        rows = [row for row in Journal(run / "metrics.jsonl").read() if "loss/total" in row]
        parts = ("time/generation", "time/environment", "time/teacher", "time/scoring", "time/training")
        played = sum(row["time/generation"] + row["time/environment"] for row in rows)
        spent = sum(row[name] for row in rows for name in parts)
        cells = [
            json.loads(path.read_text()).get("seconds", 0.2) for path in (run / "evaluations").glob("*-step-*.json")
        ]
        return cls(spent / len(rows), played / spent, sorted(cells)[len(cells) // 2] if cells else 0.2, total)


Aim = Callable[[random.Random, Evidence, Sdar, Quiet], None]
"""Waits until the instant has come, or until the process is over."""


def warm_up(draw: random.Random, seen: Evidence, process: Sdar, quiet: Quiet) -> None:
    """While the base is trained or loaded, or the first process still imports."""
    _until(process, (seen.run / "run.json").exists)
    _sleep(process, draw.uniform(0, 0.35) * quiet.total)


def generation(draw: random.Random, seen: Evidence, process: Sdar, quiet: Quiet) -> None:
    at = draw.randint(1, 9)
    _until(process, lambda: seen.steps() >= at)
    _sleep(process, draw.uniform(0, quiet.generation) * quiet.step)


def training(draw: random.Random, seen: Evidence, process: Sdar, quiet: Quiet) -> None:
    """After a rollout is recorded: scoring, backward passes, the optimiser, the journal."""
    at = draw.randint(0, 9)
    _until(process, lambda: seen.recorded() >= at)
    _sleep(process, draw.uniform(0, 1.0 - quiet.generation) * quiet.step)


def checkpointing(draw: random.Random, seen: Evidence, process: Sdar, quiet: Quiet) -> None:
    """While a checkpoint's folder is being filled, moved, or old ones are removed."""
    for _ in range(draw.randint(1, 3)):
        _until(process, seen.is_saving)
        wait = draw.uniform(0, 0.12)
        _until(process, lambda: not seen.is_saving(), at_most=wait)
    if draw.random() < 0.5:
        _until(process, seen.is_saving)
    _sleep(process, draw.uniform(0, 0.06))


def evaluation(draw: random.Random, seen: Evidence, process: Sdar, quiet: Quiet) -> None:
    """Of the base, in between, or at the end."""
    kind = draw.choice(("base", "trained", "end"))
    if kind == "end":
        _until(process, lambda: seen.status() == "evaluating")
    else:
        at = draw.randint(1, 2)
        _until(process, lambda: seen.evaluations(process, kind) >= at)
    _sleep(process, draw.uniform(0, 1.3) * quiet.evaluation)


def mlflow(draw: random.Random, seen: Evidence, process: Sdar, quiet: Quiet) -> None:
    """While what was put down waits to be sent."""
    at = draw.randint(0, 8)
    _until(process, lambda: seen.steps() >= at)
    _until(process, lambda: seen.unsent() > 0)
    _sleep(process, draw.uniform(0, 0.03))


AIMS: dict[str, Aim] = {
    "generation": generation,
    "training": training,
    "checkpointing": checkpointing,
    "evaluation": evaluation,
    MLFLOW: mlflow,
    "warm-up": warm_up,
}


def _until(process: Sdar, come: Callable[[], bool], at_most: float = 600.0) -> None:
    end = time.monotonic() + at_most
    while not come() and not process.over and time.monotonic() < end:
        time.sleep(POLL)


def _sleep(process: Sdar, seconds: float) -> None:
    _until(process, lambda: False, at_most=seconds)
