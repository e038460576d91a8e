"""Means over seeds, differences paired by seed, what they could have seen, and what they decide.

Success and differences are shares (0.25), not points. Intervals are of 95 %, Student's t over seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from claims.methods import Overrides
from claims.table import Row, Table
from sdar_cli.statistics import Interval, detectable, seed_difference

Cell = Literal["base_no_skills", "base_skills", "trained_no_skills", "trained_skills"]
Word = Literal["holds", "does not hold", "undecided"]

MATTERS = 0.05
"""The smallest gain that would matter; a claim of a gain does not hold where its interval lies below it."""


@dataclass(frozen=True, slots=True)
class Paired:
    """First − second over the seeds that both have."""

    seeds: tuple[int, ...]
    difference: Interval | None
    """None for fewer than two seeds."""
    detectable: float | None
    """The true difference that so many seeds would have shown to differ from 0 in 80 % of studies."""


def values(table: Table, overrides: Overrides, seeds: Sequence[int], cell: Cell) -> dict[int, float]:
    """Seed → success, of the runs that count."""
    rows = {seed: table.get(overrides, seed) for seed in seeds}
    found = {seed: success(row, cell) for seed, row in rows.items() if row is not None}
    return {seed: value for seed, value in found.items() if value is not None}


def success(row: Row, cell: Cell) -> float | None:
    """A run's cell. A run that broke down while training solves nothing; one whose base fell short does not count."""
    value = getattr(row, cell)
    if value is None and row.status == "failed" and row.steps > 0:
        return 0.0
    return value


def paired(first: Mapping[int, float], second: Mapping[int, float]) -> Paired:
    """First − second, seed by seed."""
    seeds = tuple(sorted(first.keys() & second.keys()))
    differences = [first[seed] - second[seed] for seed in seeds]
    if len(seeds) < 2:
        return Paired(seeds, None, None)
    spread = float(np.std(differences, ddof=1))
    return Paired(seeds, seed_difference(differences), detectable(spread, len(seeds)))


def over_seeds(found: Mapping[int, float]) -> Interval | None:
    """Mean over seeds with its interval; None for fewer than two."""
    return seed_difference(list(found.values())) if len(found) > 1 else None


def gain(difference: Interval | None, at_least: float = 0.0, matters: float = MATTERS) -> Word:
    """Whether a difference is a gain: ``holds`` above ``at_least``, ``does not hold`` below what would matter."""
    if difference is None:
        return "undecided"
    if difference.low > at_least:
        return "holds"
    return "does not hold" if difference.high < at_least + matters else "undecided"


def together(words: Sequence[Word]) -> Word:
    """A claim with several parts: each must hold, and one that does not decides."""
    if "does not hold" in words:
        return "does not hold"
    return "holds" if words and all(word == "holds" for word in words) else "undecided"
