"""What a study will take, from the step times of runs that were measured on this machine's folder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from sdar_cli.reading import open_regular
from sdar_cli.recipe.schema import Recipe
from sdar_cli.runs.state import RunState, RunStatus
from sdar_cli.runs.store import RunFolder, list_runs
from sdar_cli.sweep.spec import StudySpec
from sdar_cli.tracking.journal import Journal, lines

TIMES = ("time/generation", "time/environment", "time/teacher", "time/scoring", "time/training")
"""Parts of a step's seconds in a run's journal."""
SHAPES = ("model", "environment", "rollout", "engine")
"""Sections of a recipe that decide most of a step's time."""
NEWEST = 20
"""Measured runs that are looked at."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One run that came to its end."""

    run: str
    step: float
    """Median seconds of a step."""
    rest: float | None
    """Seconds beside the steps: start, warm-up, evaluations, plots. None for a run that was resumed."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds, were each run alone on its device."""

    step: float
    rest: float
    steps: float
    """Of a run, on average over the cells."""
    runs: int
    measured: tuple[str, ...]
    """Names of the runs that it follows from."""
    alike: bool
    """Whether they had the study's model, environment, rollout and engine; else only its recipe's name."""

    @property
    def per_run(self) -> float:
        return self.rest + self.steps * self.step

    @property
    def total(self) -> float:
        return self.per_run * self.runs

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "per_run": self.per_run, "total": self.total}


def expected_cost(spec: StudySpec, recipe: Recipe, root: Path) -> Cost | None:
    """The cost of all runs of a study; None where no run of its recipe was measured.

    Args:
        spec: the study.
        recipe: of its first cell.
        root: the runs folder.
    """
    finished = [run for run in list_runs(root) if _counts(run.state, recipe)]
    wanted = _shape(recipe.model_dump(mode="json"), spec)
    alike = [run for run in finished if _shape(run.state.settings, spec) == wanted]
    chosen = [found for run in (alike or finished)[-NEWEST:] if (found := measure(run)) is not None]
    if not chosen:
        return None
    rests = [found.rest for found in chosen if found.rest is not None]
    return Cost(
        step=median(found.step for found in chosen),
        rest=median(rests) if rests else 0.0,
        steps=_steps(spec, recipe),
        runs=spec.total_runs,
        measured=tuple(found.run for found in chosen),
        alike=bool(alike),
    )


def measure(run: RunFolder) -> Measured | None:
    """A finished run's times; None where its journal holds none."""
    state = run.state
    journal = Journal(run.path / "metrics.jsonl")
    steps = [seconds for row in journal.read() if (seconds := step_seconds(row)) is not None]
    if not steps:
        return None
    rest = None
    if state.ended is not None and not _resumed(journal.path):
        rest = max(0.0, state.ended - state.started - math.fsum(steps))
    return Measured(run.name, median(steps), rest)


def step_seconds(row: dict[str, float]) -> float | None:
    """Seconds of a step from its row of the journal; None of a row without them."""
    if "time/training" not in row:
        return None
    seconds = math.fsum(row.get(name, 0.0) for name in TIMES)
    return seconds if math.isfinite(seconds) else None


def _counts(state: RunState, recipe: Recipe) -> bool:
    return state.recipe == recipe.name and state.status in (RunStatus.FINISHED, RunStatus.COLLAPSED)


def _shape(settings: dict[str, Any], spec: StudySpec) -> dict[str, Any]:
    """What decides a step's time, without what the study varies."""
    shape: dict[str, Any] = {}
    for section in SHAPES:
        values = settings.get(section)
        if isinstance(values, dict):
            varied = {
                axis.key.partition(".")[2].partition(".")[0] for axis in spec.axes if axis.key.startswith(section)
            }
            if "" not in varied:
                shape[section] = {key: value for key, value in values.items() if key not in varied}
    return shape


def _steps(spec: StudySpec, recipe: Recipe) -> float:
    axis = next((axis for axis in spec.axes if axis.key == "train.steps"), None)
    if axis is None:
        return float(recipe.train.steps)
    values: Sequence[float] = [params["train.steps"] for params in spec.grid()] or [float(end) for end in axis.corners]
    return math.fsum(values) / len(values)


def _resumed(journal: Path) -> bool:
    """Whether the run was interrupted, so that its start and end say nothing: a training rewinds once as it begins."""
    with open_regular(journal) as file:
        return sum(line.count(b'"rewind"') for line in lines(file)) > 1
