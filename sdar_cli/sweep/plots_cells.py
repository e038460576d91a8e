"""Cells as the pictures of a study take them: what was measured, in percent, and where a value stands on its axis."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sdar_cli.statistics import Interval
from sdar_cli.sweep.ranking import ranked
from sdar_cli.sweep.space import Axis, as_yaml
from sdar_cli.sweep.view import StudyView

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDE = 20.0
"""Largest over smallest value from which an axis is logarithmic: 0.1, 0.2, 1, 5 would lie on two heaps otherwise."""
TICKS = 9
"""Most values of an axis of which each gets its own tick."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A cell with at least one run that is done."""

    index: int
    params: Mapping[str, Any]
    seeds: tuple[float, ...]
    """The study's metric of each run that is done, in percent."""
    mean: float
    interval: Interval | None
    """Student's t over seeds, in percent; None for one seed."""
    whole: bool
    """Whether all its runs are done."""

    def text(self, key: str) -> str | None:
        return as_yaml(self.params[key]) if key in self.params else None


def measured(view: StudyView) -> list[Measured]:
    """By index."""
    scale = 1.0 if view.spec.metric == "score" else 100.0
    found = []
    for one in ranked(view):
        seeds = tuple(scale * float(run.result[view.spec.metric]) for run in one.cell.done)
        if seeds:
            interval = None if one.interval is None else _percent(one.interval)
            mean = math.fsum(seeds) / len(seeds)
            whole = one.cell.state == "done"
            found.append(Measured(one.cell.index, one.cell.params, seeds, mean, interval, whole))
    return sorted(found, key=lambda cell: cell.index)


def metric_label(view: StudyView) -> str:
    return "success without skills (%)" if view.spec.metric == "success" else "score without skills"


def seeds_in_words(view: StudyView) -> str:
    """What the dots and intervals are."""
    count = len(view.spec.seeds)
    return "one seed" if count == 1 else f"mean of {count} seeds, 95 % intervals (t), a dot a seed"


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis on paper: numbers where they are, words one step apart."""

    axis: Axis
    values: tuple[Any, ...]
    """All values that are there, in order."""
    numeric: bool
    log: bool

    @classmethod
    def of(cls, axis: Axis, cells: Sequence[Measured]) -> Scale:
        """Values that no cell has yet are there as well, where they are listed."""
        seen = [cell.params[axis.key] for cell in cells if axis.key in cell.params]
        listed = list(axis.choices) if axis.choices is not None else [axis.low, axis.high]
        numeric = all(is_number(value) for value in [*listed, *seen])
        if not numeric:
            return cls(axis, _unique([*listed, *seen]), False, False)
        values = tuple(sorted({float(value) for value in [*listed, *seen]}))
        wide = values[0] > 0 and values[-1] / values[0] >= WIDE
        return cls(axis, values, True, wide or (axis.log and values[0] > 0))

    def at(self, value: Any) -> float:
        if self.numeric:
            return float(value)
        texts = [as_yaml(one) for one in self.values]
        return float(texts.index(as_yaml(value)))

    def share(self, value: Any) -> float:
        """Where the value stands between the axis's ends, 0 to 1."""
        first, last, here = (self._straight(one) for one in (self.values[0], self.values[-1], value))
        return 0.5 if last == first else (here - first) / (last - first)

    def dress(self, axes: Axes) -> None:
        """Scale, ticks and the label exactly as typed."""
        from matplotlib.ticker import NullLocator

        axes.set_xlabel(self.axis.key)
        if not self.numeric:
            axes.set_xticks(range(len(self.values)), [as_yaml(value) for value in self.values])
            axes.set_xlim(-0.5, len(self.values) - 0.5)
            return
        if self.log:
            axes.set_xscale("log")
        if self.axis.choices is not None and len(self.values) <= TICKS:
            axes.set_xticks(self.values, [f"{value:g}" for value in self.values])
            axes.xaxis.set_minor_locator(NullLocator())

    def _straight(self, value: Any) -> float:
        return math.log(self.at(value)) if self.log else self.at(value)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _unique(values: Sequence[Any]) -> tuple[Any, ...]:
    return tuple({as_yaml(value): value for value in values}.values())


def _percent(rate: Interval) -> Interval:
    return Interval(100 * rate.estimate, 100 * rate.low, 100 * rate.high, rate.level)
