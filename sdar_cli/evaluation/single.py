"""A report in one mode only: a checkpoint, and what it gained over its base."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sdar_cli.evaluation.means import mean_difference, stated, type_mean
from sdar_cli.evaluation.report import Comparison
from sdar_cli.evaluation.result import Evaluation
from sdar_cli.evaluation.scores import graded, mean_score, score_difference
from sdar_cli.statistics import Interval

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

    @property
    def further(self) -> dict[str, tuple[Interval, Interval]]:
        """(base, gain) of the native score, as shares, where it says more than success, and of each mean over
        task types, by name."""
        if self.base is None:
            return {}
        own, base = self.evaluation, self.base
        found = {}
        if graded([*own.records, *base.records]):
            found["score"] = mean_score(base.scores()), score_difference(own.scores(), base.scores())
        for name in stated(own.means, own.summary.by_type):
            types = own.means[name]
            found[name] = type_mean(base, types), mean_difference(own, base, types)
        return found

    def to_json(self) -> dict[str, Any]:
        cells = {"evaluation": self.evaluation, "base": self.base}
        return {
            "mode": self.evaluation.mode,
            "panel": self.evaluation.panel,
            "bank": self.evaluation.bank,
            "options": dict(self.evaluation.options),
            "facts": dict(self.evaluation.facts),
            **{name: None if cell is None else cell.summary.to_json() for name, cell in cells.items()},
            "gain": None if self.gain is None else self.gain.to_json(),
            "further": {
                name: {"base": base.to_json(), "gain": gain.to_json()} for name, (base, gain) in self.further.items()
            },
        }

    def render(self, console: Console) -> None:
        """The checkpoint by task type, then the gain over the base."""
        from sdar_cli.evaluation.table_parts import difference, hundredths, percent
        from sdar_cli.evaluation.tables import print_evaluation

        print_evaluation(self.evaluation, console)
        lines = []
        if self.base is not None and self.gain is not None:
            lines.append(f"base {percent(self.base.summary.success)}, gain {difference(self.gain.difference)} points")
        for name, (base, gain) in self.further.items():
            shown = hundredths(base) if name == "score" else percent(base)
            lines.append(f"{name}: base {shown}, gain {difference(gain)} points")
        for line in lines:
            console.print(line, highlight=False, markup=False)
