"""One measure in the report's cells: base and trained, without and with skills, and the differences between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from sdar_cli.statistics import Interval, as_json

if TYPE_CHECKING:
    from sdar_cli.evaluation.result import Evaluation

Row = tuple[str, "Evaluation", "Evaluation"]
"""Label, without skills, with skills."""


@dataclass(frozen=True, slots=True)
class Cells:
    rows: tuple[tuple[str, Interval, Interval], ...]
    """(label, without skills, with skills), the base first."""
    gaps: tuple[Interval, ...]
    """With − without skills, of each row."""
    gain: Interval | None
    """Trained − base, both without skills; None without a base."""
    gain_with: Interval | None
    """The same, both with skills."""

    @classmethod
    def of(
        cls,
        rows: Sequence[Row],
        one: Callable[[Evaluation], Interval],
        paired: Callable[[Evaluation, Evaluation], Interval],
    ) -> Self:
        """From a measure of one evaluation, and of the difference first − second of two."""
        based = len(rows) == 2
        return cls(
            rows=tuple((label, one(without), one(with_skills)) for label, without, with_skills in rows),
            gaps=tuple(paired(with_skills, without) for _, without, with_skills in rows),
            gain=paired(rows[1][1], rows[0][1]) if based else None,
            gain_with=paired(rows[1][2], rows[0][2]) if based else None,
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "cells": [
                {"label": label, "no_skills": without.to_json(), "skills": with_skills.to_json()}
                for label, without, with_skills in self.rows
            ],
            "gaps": [gap.to_json() for gap in self.gaps],
            "gain": as_json(self.gain),
            "gain_with_skills": as_json(self.gain_with),
        }
