"""What was measured: one row for a statistic at a number of seeds and tasks, over all cells of its worlds."""

from __future__ import annotations

import csv
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

Measure = Literal["coverage", "false positives"]


@dataclass(frozen=True, slots=True)
class Row:
    """Rates are shares, of intervals of 95 % and tests at 5 %."""

    statistic: str
    measure: Measure
    seeds: str
    """A number, or both of two groups: ``2+10``; ``1`` where nothing is drawn over seeds."""
    tasks: int
    world: str
    cells: int
    """Of how many sets of parameters."""
    how: str
    """``exact``, or the number of simulated studies a cell."""
    mean: float
    worst: float
    """The least coverage, the most false positives."""
    worst_at: str
    """The cell where."""


def row(
    statistic: str,
    measure: Measure,
    seeds: int | str,
    tasks: int,
    world: str,
    how: int | str,
    rates: Mapping[Hashable, float],
    names: str,
) -> Row:
    """Of rates by cell; ``names`` are the cell's parts, as in "rate spread"."""
    worst = (min if measure == "coverage" else max)(rates, key=lambda cell: rates[cell])
    parts = worst if isinstance(worst, tuple) else (worst,)
    at = " ".join(f"{name}={part:.3g}" for name, part in zip(names.split(), parts, strict=True))
    mean = sum(rates.values()) / len(rates)
    return Row(
        statistic, measure, str(seeds), tasks, world, len(rates), str(how), round(mean, 5), round(rates[worst], 5), at
    )


def write(rows: Iterable[Row], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def read(path: Path) -> list[Row]:
    with path.open(newline="") as file:
        return [
            Row(
                **entry
                | {"tasks": int(entry["tasks"]), "cells": int(entry["cells"])}
                | {"mean": float(entry["mean"]), "worst": float(entry["worst"])}
            )
            for entry in csv.DictReader(file)
        ]
