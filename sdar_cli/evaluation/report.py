"""How much moved into the weights: base and trained, without and with skills, on one panel.

    report = InternalisationReport.build(base_without, base_with, trained_without, trained_with)
    report.render(console)

The base's two cells may be missing (a bare Hugging Face folder): the report then has one row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from sdar_cli.errors import PanelError
from sdar_cli.evaluation.cells import Cells, Row
from sdar_cli.evaluation.flagged import Flagged
from sdar_cli.evaluation.horizon_report import HorizonSlice, by_horizon
from sdar_cli.evaluation.means import means_of_cells
from sdar_cli.evaluation.pairing import check_mode, check_pair
from sdar_cli.evaluation.result import Evaluation
from sdar_cli.evaluation.scores import score_cells
from sdar_cli.statistics import (
    LEVEL,
    Interval,
    as_json,
    episodes_needed,
    internalised_fraction,
    mcnemar,
    paired_difference,
)

if TYPE_CHECKING:
    from rich.console import Console

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two evaluations of the same tasks: first − second."""

    difference: Interval
    """Of the shares of solved tasks."""
    p_value: float
    """Exact McNemar, two-sided."""
    episodes_needed: int | None
    """Tasks with which such a difference is found in 80 % of experiments; None where none was seen."""

    @classmethod
    def of(cls, first: Evaluation, second: Evaluation, level: float = LEVEL) -> Self:
        a, b = first.won(), second.won()
        return cls(paired_difference(a, b, level), mcnemar(a, b), episodes_needed(a, b, level))

    def to_json(self) -> dict[str, Any]:
        return {
            "difference": self.difference.to_json(),
            "p_value": self.p_value,
            "episodes_needed": self.episodes_needed,
        }


@dataclass(frozen=True, slots=True)
class InternalisationReport:
    """Made by ``build``, which checks that the evaluations belong together."""

    base_without: Evaluation | None
    base_with: Evaluation | None
    trained_without: Evaluation
    trained_with: Evaluation
    level: float = LEVEL
    flagged: Flagged | None = None
    """Episodes that the training lost; None where no training is told of."""

    @classmethod
    def build(
        cls,
        base_without: Evaluation | None,
        base_with: Evaluation | None,
        trained_without: Evaluation,
        trained_with: Evaluation,
        *,
        level: float = LEVEL,
        flagged: Flagged | None = None,
    ) -> Self:
        """Raises PanelError when the evaluations are not on the same tasks under the same conditions."""
        if (base_without is None) != (base_with is None):
            raise PanelError(
                "the base was evaluated in one mode only: evaluate it without and with skills (sdar eval "
                "--checkpoint base --both), or leave it out of the report"
            )
        cells = [(base_without, "no_skills"), (base_with, "skills")]
        cells += [(trained_without, "no_skills"), (trained_with, "skills")]
        for evaluation, mode in cells:
            if evaluation is not None:
                check_mode(evaluation, mode)
                check_pair(evaluation, trained_without)
        with_skills = [evaluation for evaluation, mode in cells if evaluation is not None and mode == "skills"]
        if len({evaluation.bank_digest for evaluation in with_skills}) > 1:
            raise PanelError(
                "the base and the checkpoint were shown different skill banks "
                f"({', '.join(_bank(evaluation) for evaluation in with_skills)}): evaluate both with one bank"
            )
        return cls(base_without, base_with, trained_without, trained_with, level, flagged)

    @property
    def rows(self) -> list[Row]:
        """The base first."""
        rows: list[Row] = [(self.trained_without.label, self.trained_without, self.trained_with)]
        if self.base_without is not None and self.base_with is not None:
            rows.insert(0, (self.base_without.label, self.base_without, self.base_with))
        return rows

    @property
    def gap(self) -> Comparison:
        """With − without skills, of the trained checkpoint: what the skills still add."""
        return Comparison.of(self.trained_with, self.trained_without, self.level)

    @property
    def base_gap(self) -> Comparison | None:
        """With − without skills, of the base: what there is to internalise."""
        if self.base_without is None or self.base_with is None:
            return None
        return Comparison.of(self.base_with, self.base_without, self.level)

    @property
    def gain(self) -> Comparison | None:
        """Trained − base, both without skills."""
        if self.base_without is None:
            return None
        return Comparison.of(self.trained_without, self.base_without, self.level)

    @property
    def gain_with(self) -> Comparison | None:
        """Trained − base, both with skills."""
        if self.base_with is None:
            return None
        return Comparison.of(self.trained_with, self.base_with, self.level)

    @property
    def internalised(self) -> Interval | None:
        """The internalised fraction; None where it is undefined or there is no base."""
        if self.base_without is None or self.base_with is None:
            return None
        return internalised_fraction(
            self.trained_without.won(), self.base_without.won(), self.base_with.won(), level=self.level
        )

    @property
    def why_undefined(self) -> str | None:
        """Why there is no internalised fraction, or None where there is one."""
        if self.base_gap is None:
            return "no base was evaluated"
        if self.internalised is not None:
            return None
        gap = self.base_gap.difference
        if gap.low <= 0:
            return (
                f"undefined, as the base's own gain from skills is not clearly above 0 "
                f"({points(gap.estimate)}, {points(gap.low)} to {points(gap.high)} points)"
            )
        return "undefined, as its interval has no end on so few tasks"

    @property
    def by_horizon(self) -> list[HorizonSlice]:
        """The cells by the number of turns that the expert needs; empty where there is no expert."""
        return by_horizon(self.rows, self.level)

    @property
    def means(self) -> dict[str, Cells]:
        """The environment's means over task types, by name; empty where it has none."""
        return means_of_cells(self.rows, self.level)

    @property
    def score(self) -> Cells | None:
        """The native score as a share; None where it says no more than success."""
        return score_cells(self.rows, self.level)

    @property
    def tokens_saved(self) -> dict[str, float]:
        """Prompt tokens of the trained policy, with − without skills: per turn and per episode, and the
        share of the prompt with skills that is spared per turn."""
        without, with_skills = self.trained_without.summary, self.trained_with.summary
        per_turn = with_skills.prompt_tokens_per_turn - without.prompt_tokens_per_turn
        whole = with_skills.prompt_tokens_per_turn
        return {
            "per_turn": per_turn,
            "per_episode": with_skills.prompt_tokens - without.prompt_tokens,
            "share_per_turn": per_turn / whole if whole else 0.0,
        }

    @property
    def flagged_in_evaluations(self) -> Flagged:
        """Episodes that its evaluations lost."""
        return Flagged.of_evaluations(cell for row in self.rows for cell in row[1:])

    @property
    def bank(self) -> str:
        """Name and hash of the skill bank."""
        return _bank(self.trained_with)

    def to_json(self) -> dict[str, Any]:
        """Plain data: cells, gaps, gains, the fraction, tokens, horizon, bank and panel."""
        return {
            "format": FORMAT,
            "level": self.level,
            "environment": self.trained_without.environment,
            "panel": self.trained_without.panel,
            "split": self.trained_without.split,
            "tasks": len(self.trained_without.records),
            "sampling": dict(self.trained_without.sampling),
            "options": dict(self.trained_without.options),
            "facts": dict(self.trained_without.facts),
            "seed": self.trained_without.seed,
            "bank": {"name": self.trained_with.bank, "digest": self.trained_with.bank_digest},
            "cells": [
                {"label": label, "step": without.step, "checkpoint": without.checkpoint}
                | {"no_skills": self._summary(without), "skills": self._summary(with_)}
                for label, without, with_ in self.rows
            ],
            "gap": self.gap.to_json(),
            "base_gap": None if self.base_gap is None else self.base_gap.to_json(),
            "gain": None if self.gain is None else self.gain.to_json(),
            "gain_with_skills": None if self.gain_with is None else self.gain_with.to_json(),
            "internalised_fraction": as_json(self.internalised),
            "internalised_fraction_undefined": self.why_undefined,
            "prompt_tokens_saved": self.tokens_saved,
            "by_horizon": [one.to_json() for one in self.by_horizon],
            "means": {name: cells.to_json() for name, cells in self.means.items()},
            "flagged": {
                "training": None if self.flagged is None else self.flagged.to_json(),
                "evaluation": self.flagged_in_evaluations.to_json(),
            },
            "native_score": None if self.score is None else self.score.to_json(),
        }

    def render(self, console: Console) -> None:
        """Print tables and lines; readable at 80 columns and without colour."""
        from sdar_cli.evaluation.tables import print_report

        print_report(self, console)

    def text(self, width: int = 80) -> str:
        """What ``render`` prints, as plain text."""
        from sdar_cli.evaluation.table_parts import plain

        return plain(self.render, width)

    def _summary(self, evaluation: Evaluation) -> dict[str, Any]:
        return evaluation.summary_at(self.level).to_json()


def points(share: float) -> str:
    """A difference of shares in percentage points, signed: ``+12.5``, ``−3.1``, ``0.0``."""
    value = round(100 * share, 1)
    return "0.0" if value == 0 else f"{value:+.1f}".replace("-", "−")


def _bank(evaluation: Evaluation) -> str:
    return f"{evaluation.bank or 'unnamed'} {(evaluation.bank_digest or 'no hash')[:12]}"
