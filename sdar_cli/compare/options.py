"""What a user asked a comparison for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sdar_cli.statistics import LEVEL

Metric = Literal["success", "score"]


@dataclass(frozen=True, slots=True)
class Axis:
    """A setting that was varied."""

    key: str
    """As typed: ``gate.temperature``."""
    choices: tuple[Any, ...] = ()
    """In the order typed; empty for a range."""
    log: bool | None = None
    """Whether a range was drawn on a logarithmic scale; None: judge by the values."""


@dataclass(frozen=True, slots=True)
class Study:
    name: str
    axes: tuple[Axis, ...]
    missing: int = 0
    """Runs that have no folder yet."""


@dataclass(frozen=True, slots=True)
class Options:
    rows: Literal["run", "cell"] | tuple[str, ...] = "run"
    """A row a run, a row a cell (the runs of one setting over seeds), or the keys that make the rows."""
    level: float = LEVEL
    metric: Metric = "success"
    baseline: str | None = None
    """The row that the others are paired with; None: all pairs up to ``MOST_ROWS`` rows, else the first row."""
    force: bool = False
    paper: bool = False
    paper_model: str | None = None
    last: int = 3
    price: float | None = None
    """Money for a device hour."""
    study: Study | None = None
    title: str = ""


MOST_ROWS = 6
"""Rows up to which every pair is tested."""
