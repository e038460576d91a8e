"""Instants at which a training is killed, found from outside by watching its folder: there are no hooks for it."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from soak.process import Sdar

POLL = 0.0005
"""Seconds between two looks."""


@dataclass(frozen=True, slots=True)
class Quiet:
    """What the undisturbed run took, in seconds; sizes the draws."""

    step: float
    """From one step's metrics to the next's, the median."""
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


Aim = Callable[[random.Random, Path, Sdar, Quiet], None]
"""Waits until the instant has come, or until the process is over."""


def warm_up(draw: random.Random, run: Path, process: Sdar, quiet: Quiet) -> None:
    """While the base is trained or loaded, or the first process still imports."""
    _until(process, lambda: (run / "run.json").exists() or (run.parent / "cache").exists())
    _sleep(process, draw.uniform(0, 0.35) * quiet.total)


def generation(draw: random.Random, run: Path, process: Sdar, quiet: Quiet) -> None:
    _after_a_step(draw, run, process)
    _sleep(process, draw.uniform(0, quiet.generation) * quiet.step)


def training(draw: random.Random, run: Path, process: Sdar, quiet: Quiet) -> None:
    _after_a_step(draw, run, process)
    _sleep(process, draw.uniform(quiet.generation, 1.0) * quiet.step)


def checkpointing(draw: random.Random, run: Path, process: Sdar, quiet: Quiet) -> None:
    """While a checkpoint's folder is being filled, moved, or old ones are removed."""
    for _ in range(draw.randint(1, 3)):
        _until(process, lambda: _writing(run))
        wait = draw.uniform(0, 0.12)
        _until(process, lambda: not _writing(run), at_most=wait)
    if draw.random() < 0.5:
        _until(process, lambda: _writing(run))
    _sleep(process, draw.uniform(0, 0.06))


def evaluation(draw: random.Random, run: Path, process: Sdar, quiet: Quiet) -> None:
    """Of the base, in between, or at the end."""
    kind = draw.choice(("base", "between", "end"))
    if kind == "base":
        _until(process, lambda: (run / "base").exists())
    elif kind == "between":
        _until(process, lambda: _steps(run) >= 5)
    else:
        _until(process, lambda: _status(run) == "evaluating")
    _sleep(process, draw.uniform(0, 1.3) * quiet.evaluation)


def mlflow(draw: random.Random, run: Path, process: Sdar, quiet: Quiet) -> None:
    """While what was put down waits to be sent."""
    spool = run / "tracking"
    at = draw.randint(0, 8)
    _until(process, lambda: _steps(run) >= at)
    before = _bytes(spool)
    _until(process, lambda: _bytes(spool) > before)
    _sleep(process, draw.uniform(0, 0.03))


AIMS: dict[str, Aim] = {
    "generation": generation,
    "training": training,
    "checkpointing": checkpointing,
    "evaluation": evaluation,
    "MLflow": mlflow,
    "warm-up": warm_up,
}


def hit(run: Path) -> str:
    """What lay in the folder right after a kill: the last step in the journal, and what was half done."""
    if not (run / "run.json").exists():
        return "no folder yet"
    parts = [f"{_status(run)}, step {_steps(run)}"]
    if _writing(run):
        parts.append("half a checkpoint")
    return ", ".join(parts)


def _after_a_step(draw: random.Random, run: Path, process: Sdar) -> None:
    at = draw.randint(1, 9)
    _until(process, lambda: _steps(run) >= at)


def _steps(run: Path) -> int:
    try:
        content = (run / "metrics.jsonl").read_bytes()
    except OSError:
        return 0
    return content.count(b'"loss/total"')


def _status(run: Path) -> str:
    try:
        return str(json.loads((run / "run.json").read_bytes()).get("status"))
    except (OSError, ValueError):
        return "?"


def _writing(run: Path) -> bool:
    try:
        return any(path.name.startswith(".step-") for path in (run / "checkpoints").iterdir())
    except OSError:
        return False


def _bytes(folder: Path) -> int:
    try:
        return sum(path.stat().st_size for path in folder.iterdir())
    except OSError:
        return 0


def _until(process: Sdar, come: Callable[[], bool], at_most: float = 120.0) -> None:
    end = time.monotonic() + at_most
    while not come() and not process.over and time.monotonic() < end:
        time.sleep(POLL)


def _sleep(process: Sdar, seconds: float) -> None:
    _until(process, lambda: False, at_most=seconds)
