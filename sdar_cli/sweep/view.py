"""What a study looks like at one moment: plain values, read from its storage (store.py) and never changed.

A *cell* is one setting; a *run* is a cell with a seed; an *attempt* is one worker's try at a run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from sdar_cli.sweep.spec import StudySpec

AttemptState = Literal["running", "done", "failed", "lost", "stopped", "pruned", "duplicate"]
RunStateName = Literal["waiting", "running", "lost", "stopped", "failed", "pruned", "done"]
CellState = Literal["waiting", "running", "done", "pruned", "failed", "partial"]

CLAIMABLE: tuple[RunStateName, ...] = ("lost", "stopped", "waiting")
"""Runs that a worker may take, unless their cell was pruned or the study is paused."""


@dataclass(frozen=True, slots=True)
class Attempt:
    number: int
    """Counts the study's attempts in the order in which they were claimed."""
    cell: int
    seed: int
    state: AttemptState
    worker: str
    """``host-pid`` of the worker."""
    host: str
    pid: int
    """The worker's, on ``host``."""
    started: float
    """Seconds since the epoch, by the worker's clock."""
    ended: float | None
    """Seconds since the epoch, by the clock of whoever ended it."""
    from_step: int
    """The checkpoint that it went on from; 0: a fresh start."""
    reason: str | None
    """One sentence, for an attempt that is neither running nor done."""
    result: Mapping[str, Any]
    """What ``RunView.result`` says; empty unless the attempt is done, or stopped (``seconds``; ``told``, the signal,
    where its training was told to leave by others)."""


@dataclass(frozen=True, slots=True)
class RunView:
    cell: int
    seed: int
    name: str
    """Of the run's folder, beside all other runs."""
    state: RunStateName
    attempts: tuple[Attempt, ...]
    """By number; duplicates, which trained nothing, are left out."""
    result: Mapping[str, Any]
    """Of a run that is done: ``success``, ``success_skills``, ``score``, ``score_skills`` (shares; scores × 100),
    ``steps`` played, ``seconds`` of all attempts that told, ``collapsed``, ``mlflow_run_id`` (or None),
    ``evaluations``: (step, success without skills, score without skills) triples by step."""

    @property
    def reason(self) -> str | None:
        """Why it failed, was lost or stopped: the newest attempt's sentence."""
        return self.attempts[-1].reason if self.attempts else None


@dataclass(frozen=True, slots=True)
class CellView:
    index: int
    params: Mapping[str, Any]
    """Key as typed → value."""
    label: str
    """``gate.temperature=0.1 method=sdar``."""
    state: CellState
    """``partial``: nothing is left to run, some of its runs are done and some failed."""
    runs: tuple[RunView, ...]
    """One a seed, in the order of the study's seeds."""
    mean: float | None
    """Of the study's metric over the runs that are done; None while there is none."""
    intermediate: Mapping[int, float] = field(default_factory=dict)
    """What pruning sees: (steps of earlier seeds + step) → mean of the seeds so far (prune.py)."""

    @property
    def done(self) -> tuple[RunView, ...]:
        return tuple(run for run in self.runs if run.state == "done")

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to run."""
        return self.state in ("done", "pruned", "failed", "partial")


@dataclass(frozen=True, slots=True)
class StudyView:
    spec: StudySpec
    cells: tuple[CellView, ...]
    """By index. Those of a grid or a random search are all there from the start, those of tpe once they are drawn."""
    paused: bool
    created: float
    """Seconds since the epoch."""
    folder: Path | None = None
    """``RUNS/studies/NAME``."""
    root: Path | None = None
    """The runs folder."""

    @property
    def runs(self) -> tuple[RunView, ...]:
        return tuple(run for cell in self.cells for run in cell.runs)

    @property
    def total_runs(self) -> int:
        """With those of cells that were not drawn yet."""
        return self.spec.total_cells * len(self.spec.seeds)

    @property
    def counts(self) -> dict[str, int]:
        """Run state → number of runs; runs of cells that were not drawn yet are waiting."""
        counts = Counter(run.state for run in self.runs)
        counts["waiting"] += self.total_runs - len(self.runs)
        return {state: count for state, count in counts.items() if count}

    @property
    def is_over(self) -> bool:
        """Whether no worker has anything left to do, now or later."""
        return len(self.cells) == self.spec.total_cells and all(cell.is_over for cell in self.cells)
