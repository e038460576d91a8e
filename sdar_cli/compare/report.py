"""A comparison as plain data: what ``sdar compare`` found, and all that its outputs show.

Shares and their differences are shares (0.25), not points; scores of measures and pairs are × 100; times are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from sdar_cli.statistics import Interval

FORMAT = 1

Unit = Literal["share", "points", "score", "count", "seconds", "hours", "money"]


@dataclass(frozen=True, slots=True)
class Kind:
    """What a measure is."""

    label: str
    unit: Unit
    better: Literal["higher", "lower"] | None
    """None where neither is: a gap may be small because nothing was learned."""


MEASURES: Mapping[str, Kind] = {
    "success": Kind("success without skills", "share", "higher"),
    "success_skills": Kind("success with skills", "share", "higher"),
    "gap": Kind("gap (with − without)", "points", None),
    "gain": Kind("gain over the base, without skills", "points", "higher"),
    "internalised": Kind("internalised fraction", "share", "higher"),
    "iqm": Kind("interquartile mean, without skills", "share", "higher"),
    "score": Kind("score without skills", "score", "higher"),
    "score_skills": Kind("score with skills", "score", "higher"),
    "turns": Kind("turns an episode", "count", "lower"),
    "response_tokens": Kind("response tokens an episode", "count", "lower"),
    "prompt_tokens": Kind("prompt tokens a turn", "count", "lower"),
    "invalid": Kind("invalid actions", "share", "lower"),
    "final": Kind("mean of the last evaluations", "share", "higher"),
    "best": Kind("best evaluation", "share", "higher"),
    "inflation": Kind("best − mean of the last", "points", "lower"),
    "seconds": Kind("training time", "seconds", "lower"),
    "device_hours": Kind("device hours", "hours", "lower"),
    "cost": Kind("cost", "money", "lower"),
}
"""Every measure that a row may have, in the order of display."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A value, and its interval where there is one."""

    value: float
    low: float | None = None
    high: float | None = None
    count: int = 1
    """Of what the value is a mean: runs."""


@dataclass(frozen=True, slots=True)
class CurvePoint:
    step: int
    rate: Interval
    """Wilson's interval of one run; Student's t over seeds of several."""
    runs: int


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the comparison: a run, or a cell of runs that differ in their seed alone."""

    label: str
    runs: tuple[str, ...]
    """Names of the run folders."""
    seeds: tuple[int, ...]
    settings: Mapping[str, Any]
    """Dotted key → value: the settings in which the rows differ."""
    measures: Mapping[str, Measure]
    """By name in ``MEASURES``; one that a row has not is left out."""
    base: Mapping[str, Measure] = field(default_factory=dict)
    """``success`` and ``success_skills`` of the base."""
    by_type: Mapping[str, Interval] = field(default_factory=dict)
    """Success without skills by task type."""
    curve: tuple[CurvePoint, ...] = ()
    """Evaluations without skills over steps, base and end included."""
    signals: Mapping[str, tuple[tuple[int, float], ...]] = field(default_factory=dict)
    """Metric of the journal (``rollout/success``, ``gap/mean``, ``gate/active``, ``policy/kl``, …) → (step, mean over
    the runs)."""
    by_turn: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)
    """``gap`` and ``gate`` → mean by turn index over the last quarter of the steps; None where no turn was."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two rows: first − second."""

    first: str
    second: str
    measure: str
    """``success``, ``success_skills`` or ``score``."""
    part: str | None
    """A task type; None: the whole panel."""
    difference: Interval
    p_value: float
    p_adjusted: float
    """Holm's, over all pairs of the same measure (and over its task types together)."""
    test: str
    """``exact McNemar``, ``paired t over seeds``, …"""
    about: Literal["checkpoints", "methods"]
    """One seed each is about two checkpoints; two seeds or more are about the methods."""
    count: int
    """Tasks, or seeds."""
    effect: float | None = None
    effect_name: str = ""
    improvement: float | None = None
    """Probability of improvement over seeds: P(first > second), ties counting half."""
    needed: int | None = None
    """How many tasks (checkpoints) or seeds (methods) show such a difference in 80 % of studies; None: none seen."""


@dataclass(frozen=True, slots=True)
class ResponsePoint:
    x: Any
    """The axis' value, as typed."""
    row: str
    rate: Interval
    seeds: tuple[float, ...]
    """Every seed's success."""


@dataclass(frozen=True, slots=True)
class Response:
    """Success without skills along one axis of a study."""

    key: str
    """As typed: ``gate.temperature``."""
    log: bool
    numeric: bool
    points: tuple[ResponsePoint, ...]


@dataclass(frozen=True, slots=True)
class PaperRow:
    row: str
    model: str
    method: str
    skills: bool
    published: float
    """Share."""
    ours: Interval
    covered: bool
    """Whether our interval holds the published number."""
    metric: str = "success"
    """``success``, ``score``, ``average`` or a task type, as the paper names it; a score's values are shares too."""
    other_model: bool = False
    """The number is of another model than the run's, asked for with ``--paper-model``."""


@dataclass(frozen=True, slots=True)
class Report:
    title: str
    environment: str
    split: str | None
    panel: str
    tasks: int
    sampling: Mapping[str, Any]
    bank: str | None
    level: float
    by: tuple[str, ...]
    """The keys that make the rows; empty: a row a run."""
    types: tuple[str, ...]
    rows: tuple[Row, ...]
    pairs: tuple[Pair, ...]
    notes: tuple[str, ...] = ()
    """Sentences that every output shows: what the pairs are about, runs that were left out and why."""
    forced: tuple[str, ...] = ()
    """Differences in the conditions that ``--force`` let through: every output is marked with them."""
    responses: tuple[Response, ...] = ()
    paper: tuple[PaperRow, ...] = ()
    study: str | None = None
    metric: Literal["success", "score"] = "success"
    """What ``by_type``, the pairs by task type and the responses are about; a score is a share in them."""
    tasks_by_type: Mapping[str, int] = field(default_factory=dict)
    last: int = 3
    """How many evaluations ``final`` is the mean of, at most."""

    def to_json(self) -> dict[str, Any]:
        return {"format": FORMAT, **asdict(self)}
