"""The report's cells on tasks that take the expert equally long: does what was learnt last over many turns?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sdar_cli.evaluation.cells import Row
from sdar_cli.evaluation.horizon import SLICES, Slice, slice_of
from sdar_cli.evaluation.result import Evaluation
from sdar_cli.statistics import LEVEL, Interval, as_json, paired_difference, wilson


@dataclass(frozen=True, slots=True)
class HorizonSlice:
    """All cells on the tasks of one slice."""

    slice: Slice
    tasks: int
    cells: tuple[tuple[str, Interval, Interval], ...]
    """(label, success without skills, with skills), Wilson's intervals, the base first."""
    gain: Interval | None
    """Trained − base, both without skills, paired; None without a base."""
    gain_with: Interval | None
    """The same, both with skills."""

    def to_json(self) -> dict[str, Any]:
        return {
            "slice": self.slice.name,
            "tasks": self.tasks,
            "cells": [
                {"label": label, "no_skills": without.to_json(), "skills": with_skills.to_json()}
                for label, without, with_skills in self.cells
            ],
            "gain": as_json(self.gain),
            "gain_with_skills": as_json(self.gain_with),
        }


def by_horizon(rows: Sequence[Row], level: float = LEVEL) -> list[HorizonSlice]:
    """The slices that hold tasks, short ones first. Evaluations must list the same tasks in one order.

    A task's expert turns are taken from the first cell that knows them; a task that none knows, since the
    environment has no expert for it, is in no slice.
    """
    known = [_known(records) for records in zip(*(cell.records for row in rows for cell in row[1:]), strict=True)]
    positions: dict[str, list[int]] = {one.name: [] for one in SLICES}
    for position, turns in enumerate(known):
        if turns is not None:
            positions[slice_of(turns).name].append(position)
    return [_slice(one, rows, chosen, level) for one in SLICES if (chosen := positions[one.name])]


def _known(records: Sequence[Any]) -> int | None:
    return next((record.expert_turns for record in records if record.expert_turns is not None), None)


def _slice(one: Slice, rows: Sequence[Row], chosen: Sequence[int], level: float) -> HorizonSlice:
    cells = [(label, _won(without, chosen), _won(with_skills, chosen)) for label, without, with_skills in rows]
    paired = len(cells) == 2
    return HorizonSlice(
        slice=one,
        tasks=len(chosen),
        cells=tuple((label, _rate(without, level), _rate(with_, level)) for label, without, with_ in cells),
        gain=paired_difference(cells[1][1], cells[0][1], level) if paired else None,
        gain_with=paired_difference(cells[1][2], cells[0][2], level) if paired else None,
    )


def _won(evaluation: Evaluation, chosen: Sequence[int]) -> list[bool]:
    return [evaluation.records[position].won for position in chosen]


def _rate(won: Sequence[bool], level: float) -> Interval:
    return wilson(sum(won), len(won), level)
