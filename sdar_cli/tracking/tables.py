"""Tables as MLflow keeps them: ``{"columns": [...], "data": [[...], ...]}``, and a tag of the run that lists them.

The run's Artifacts tab shows them as tables, the runs page's evaluation view sets those of several runs side by side,
and ``MlflowClient.load_table`` makes one data frame of them. ``log_table`` would write the same, by way of pandas.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sdar_cli.spreadsheet import cell as plain_cell
from sdar_cli.visible import visible

if TYPE_CHECKING:
    from sdar_cli.evaluation.report import InternalisationReport
    from sdar_cli.evaluation.result import Evaluation

FOLDER = "tables"
TAG = "mlflow.loggedArtifacts"
LISTED = 40
"""Tables in the tag, whose length is limited: the first half and the newest of a run that has more."""


@dataclass(frozen=True, slots=True)
class Table:
    name: str
    """Alike in all runs that are to be set side by side."""
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    """A plain value a column."""

    @property
    def path(self) -> str:
        return f"{FOLDER}/{self.name}.json"

    @property
    def text(self) -> str:
        return json.dumps({"columns": list(self.columns), "data": [list(row) for row in self.rows]})

    @property
    def csv(self) -> str:
        text = io.StringIO()
        rows = [[plain_cell(value) for value in row] for row in (self.columns, *self.rows)]
        csv.writer(text, lineterminator="\n").writerows(rows)
        return text.getvalue()

    @property
    def markdown(self) -> str:
        """The first column flush left, the others flush right; nothing where there is no row."""
        if not self.rows:
            return ""
        head = [cell(name) for name in self.columns]
        lines = [head, [":--", *["--:"] * (len(head) - 1)], *([cell(value) for value in row] for row in self.rows)]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def listed(paths: Sequence[str]) -> str:
    """The tag's value for these tables, in the order in which they came."""
    kept = list(paths) if len(paths) <= LISTED else [*paths[: LISTED // 2], *paths[-LISTED // 2 :]]
    return json.dumps([{"path": path, "type": "table"} for path in kept])


def read_listed(value: str | None) -> list[str]:
    """The tables that a tag lists; none for a tag that is missing or was damaged."""
    try:
        return [entry["path"] for entry in json.loads(value or "[]") if entry["type"] == "table"]
    except (ValueError, TypeError, LookupError):
        return []


def of_evaluation(evaluation: Evaluation) -> Table:
    """A row an episode."""
    rows = [asdict(record) | {"skills": " ".join(record.skills)} for record in evaluation.records]
    return Table(evaluation.name, list(rows[0]), [list(row.values()) for row in rows])


def of_tasks(report: InternalisationReport) -> Table:
    """A row a task: solved or not in each cell. Its name is the same in all runs."""
    cells = [(label, part) for label, *pair in report.rows for part in zip(("without", "with"), pair, strict=True)]
    columns = [f"{_word(label)} {word}" for label, (word, _) in cells]
    outcomes = [evaluation.records for _, (_, evaluation) in cells]
    rows = [
        [first[0].task_id, first[0].task_type, first[0].expert_turns, *(record.won for record in first)]
        for first in zip(*outcomes, strict=True)
    ]
    return Table("tasks", ("task", "type", "expert turns", *columns), rows)


def of_report(report: InternalisationReport) -> Table:
    """Base and trained, without and with skills, with intervals; then the gain."""
    from sdar_cli.evaluation.table_parts import difference, percent

    rows = []
    for label, without, with_skills in report.rows:
        gap = report.gap if without is report.trained_without else report.base_gap
        shown = [percent(part.summary_at(report.level).success) for part in (without, with_skills)]
        rows.append((label, *shown, difference(gap.difference) if gap else ""))
    if report.gain is not None and report.gain_with is not None:
        gains = [difference(gain.difference) for gain in (report.gain, report.gain_with)]
        rows.append(("gain", *gains, ""))
    return Table("internalisation", ("", "without skills", "with skills", "gap (with − without)"), rows)


def cell(value: Any) -> str:
    """A value as one cell of a Markdown table, shown as it is written."""
    text = " ".join(visible(str("" if value is None else value)).split())
    return re.sub(r"([\\`*_<|~$&]|\](?=[(\[:]))", r"\\\1", text)


def _word(label: str) -> str:
    return "trained" if label.startswith("trained") else label
