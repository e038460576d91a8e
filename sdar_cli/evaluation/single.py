"""A report in one mode only: a checkpoint, and what it gained over its base."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sdar_cli.evaluation.report import Comparison
from sdar_cli.evaluation.result import Evaluation

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, slots=True)
class SingleReport:
    """Made where ``sdar eval`` was asked for ``--no-skills`` or ``--skills`` alone."""

    evaluation: Evaluation
    base: Evaluation | None = None

    @property
    def gain(self) -> Comparison | None:
        """Checkpoint − base on the same tasks, in the same mode."""
        return None if self.base is None else Comparison.of(self.evaluation, self.base)

    def to_json(self) -> dict[str, Any]:
        cells = {"evaluation": self.evaluation, "base": self.base}
        return {
            "mode": self.evaluation.mode,
            "panel": self.evaluation.panel,
            "bank": self.evaluation.bank,
            **{name: None if cell is None else cell.summary.to_json() for name, cell in cells.items()},
            "gain": None if self.gain is None else self.gain.to_json(),
        }

    def render(self, console: Console) -> None:
        """The checkpoint by task type, then the gain over the base."""
        from sdar_cli.evaluation.tables import difference, percent, print_evaluation

        print_evaluation(self.evaluation, console)
        if self.base is not None and self.gain is not None:
            console.print(
                f"base {percent(self.base.summary.success)}, gain {difference(self.gain.difference)} points",
                highlight=False,
                markup=False,
            )
