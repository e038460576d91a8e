"""What ``sdar runs`` prints of a run, and of thousands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sdar_cli.cli.render import moment, print_table, say
from sdar_cli.reading import Unreadable, read_json

if TYPE_CHECKING:
    from sdar_cli.runs.listing import Listed
    from sdar_cli.runs.store import RunFolder

MANY = 200
"""Rows from which a table is set by counting letters: rich takes a millisecond a row."""


def print_runs(found: Sequence[Listed]) -> None:
    """A line a run; a column that would be empty is left out."""
    columns: dict[str, list[str]] = {
        "run": [run.name for run in found],
        "method": [run.method or "" for run in found],
        "group": ["" if run.group == run.study else run.group or "" for run in found],
        "status": [run.status for run in found],
        "step": [f"{run.step}/{run.steps}" for run in found],
        "solved": ["" if run.success is None else f"{100 * run.success:.1f} %" for run in found],
        "started": [moment(run.started) for run in found],
    }
    columns = {name: cells for name, cells in columns.items() if any(cells)}
    rows = list(zip(*columns.values(), strict=True))
    if len(rows) <= MANY:
        print_table(list(columns), rows, ("step", "solved"))
        return
    widths = [max(len(name), *map(len, cells)) for name, cells in columns.items()]
    for row in [tuple(columns), *rows]:
        flush = [
            text.rjust(width) if name in ("step", "solved") else text.ljust(width)
            for name, text, width in zip(columns, row, widths, strict=True)
        ]
        say("  ".join(flush).rstrip())


def results(run: RunFolder) -> list[tuple[str, str]]:
    """The internalisation report in a few lines; empty before there is one."""
    report = _report(run)
    try:
        rows = [(f"solved {words}", _cells(report["cells"], mode)) for mode, words in _MODES.items()]
        fraction, why = report["internalised_fraction"], report["internalised_fraction_undefined"]
        rows.append(("internalised", _rate(fraction) if fraction else str(why)))
        return rows
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
        return []


def last_metrics(run: RunFolder) -> str:
    """What the progress display shows, of the last step that was trained."""
    from sdar_cli.cli.display import SHOWN
    from sdar_cli.tracking.journal import Journal

    for row in reversed(Journal(run.path / "metrics.jsonl").read()):
        numbers = {word: row[name] for name, word in SHOWN.items() if isinstance(row.get(name), int | float)}
        if shown := [f"{word} {value:.3g}" for word, value in numbers.items()]:
            return f"step {row['step']}: {', '.join(shown)}"
    return ""


def facts(run: RunFolder) -> dict[str, Any]:
    """All that is known of a run, as plain data; the store is shown without credentials."""
    from sdar_cli.runs.listing import listed
    from sdar_cli.tracking.location import redact

    state = run.state.model_dump(mode="json", exclude={"format", "origins"})
    uri = state["tracking_uri"]
    about = listed(run.path)
    return {
        **({} if about is None else about.to_json()),
        **state,
        "status": run.status,
        "tracking_uri": redact(uri) if uri else None,
        "folder": str(run.path),
        "checkpoints": [checkpoint.step for checkpoint in run.checkpoints()],
        "evaluations": {name: str(path) for name, path in run.evaluations().items()},
        "report": _report(run),
    }


MOST = 16 << 20
"""Bytes of a report."""
_MODES = {"no_skills": "without skills", "skills": "with skills"}


def _report(run: RunFolder) -> Any:
    try:
        return read_json(run.path / "evaluations" / "report.json", MOST)
    except Unreadable:
        return None


def _cells(cells: Sequence[Mapping[str, Any]], mode: str) -> str:
    return ", ".join(f"{cell['label']} {_rate(cell[mode]['success'])}" for cell in cells)


def _rate(interval: Mapping[str, float]) -> str:
    return f"{100 * interval['estimate']:.1f} % [{100 * interval['low']:.1f}–{100 * interval['high']:.1f}]"
