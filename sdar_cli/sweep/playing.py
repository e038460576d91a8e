"""How far the running runs of a study are: read from their folders, without waiting for anyone."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from sdar_cli.sweep.results import run_json
from sdar_cli.sweep.view import RunView, StudyView
from sdar_cli.tracking.journal_tail import newest_rows

WATCHED = ("rollout/success", "gap/mean", "gate/active", "policy/kl")
"""Metrics of a step that one watches."""


@dataclass(frozen=True, slots=True)
class Playing:
    """A running run."""

    run: RunView
    phase: str
    """``warming-up``, ``training``, ``evaluating``; ``starting`` before its folder says more."""
    step: int
    steps: int | None
    """That its recipe asks for."""
    metrics: Mapping[str, float]
    """The newest of ``WATCHED``."""
    seconds: float
    """Since the attempt started, by this machine's clock."""
    played: int
    """Steps of this attempt."""

    @property
    def left(self) -> float | None:
        """Seconds to the last step at this attempt's own pace; None before it has one."""
        if self.steps is None or self.played < 1:
            return None
        return max(0, self.steps - self.step) * self.seconds / self.played

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.run.name,
            "phase": self.phase,
            "step": self.step,
            "steps": self.steps,
            "metrics": dict(self.metrics),
            "seconds_left": self.left,
        }


def playing(view: StudyView, root: Path) -> list[Playing]:
    """The running runs of a view, in its order."""
    return [_look(run, root / run.name) for run in view.runs if run.state == "running"]


def seconds_left(view: StudyView, running: list[Playing]) -> float | None:
    """Seconds until all runs are over, were as many at work as now; None where nothing tells how long one takes."""
    todo = sum(view.counts.get(state, 0) for state in ("waiting", "lost", "stopped"))
    ends = [left for run in running if (left := run.left) is not None]
    took = [float(run.result["seconds"]) for run in view.runs if run.state == "done" and run.result.get("seconds")]
    took = took or [run.seconds + left for run in running if (left := run.left) is not None and run.run.attempts]
    if not running or not took:
        return None
    whole = median(took)
    ends += [whole / 2] * (len(running) - len(ends))
    return (math.fsum(ends) + todo * whole) / len(running)


def _look(run: RunView, folder: Path) -> Playing:
    attempt = run.attempts[-1]
    seconds = max(0.0, time.time() - attempt.started)
    state = run_json(folder) or {}
    step, steps, phase = state.get("step"), state.get("steps"), state.get("status")
    if type(step) is not int or type(steps) is not int or not isinstance(phase, str):
        return Playing(run, "starting", 0, None, {}, seconds, 0)
    played = max(0, step - attempt.from_step)
    return Playing(run, phase, step, steps, tail_metrics(folder / "metrics.jsonl"), seconds, played)


def tail_metrics(journal: Path) -> dict[str, float]:
    """The newest value of each of ``WATCHED`` in the end of a journal."""
    found: dict[str, float] = {}
    for row in newest_rows(journal):
        for name in WATCHED:
            if math.isfinite(row.get(name, math.nan)):
                found.setdefault(name, float(row[name]))
        if len(found) == len(WATCHED):
            break
    return found
