"""A report as plain tables, which every text output lays out in its own way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sdar_cli.compare.cells import UNREAD
from sdar_cli.compare.cells import text as value_text
from sdar_cli.compare.render import numbers
from sdar_cli.compare.render.grid import Grid
from sdar_cli.compare.render.pair_tables import MEASURED, pair_tables, type_pair_tables
from sdar_cli.compare.report import Report, Row

SUCCESS = "Success, % of tasks"
SETTINGS = "Settings that differ"
HEADINGS = {
    "success": "without skills",
    "success_skills": "with skills",
    "gap": "gap",
    "gain": "gain over base",
    "internalised": "internalised, %",
    "iqm": "IQM over seeds, %",
    "score": "without skills",
    "score_skills": "with skills",
    "turns": "turns",
    "response_tokens": "response tokens",
    "prompt_tokens": "prompt tokens a turn",
    "invalid": "invalid, %",
    "best": "best, %",
    "final": "mean of last {last}, %",
    "inflation": "best − mean",
    "seconds": "training",
    "device_hours": "device hours",
    "cost": "cost",
}


def grids(report: Report, *, most_by_type: int | None = None) -> list[Grid]:
    """All tables of a report, in the order of reading.

    Of more pairs by task type than ``most_by_type`` only those are shown that Holm's correction leaves.
    """
    report, key = _shortened(report)
    found = [
        _measures(report, key, SUCCESS, ("success", "success_skills", "gap")),
        _settings(report),
        _measures(report, key, "What moved into the weights", ("gain", "internalised", "iqm")),
        _measures(report, key, "Native score (× 100)", ("score", "score_skills")),
        _measures(report, key, "Best and last evaluations", ("best", "final", "inflation"), "best"),
        *pair_tables(report, key),
        *_responses(report),
        *_types(report, key),
        *type_pair_tables(report, key, most_by_type),
        _paper(report, key),
        _measures(report, key, "Episodes", ("turns", "response_tokens", "prompt_tokens", "invalid"), bare=True),
        _measures(report, key, "Cost", ("seconds", "device_hours", "cost"), bare=True),
    ]
    return [grid for grid in found if grid is not None and (grid.rows or grid.note)]


def _shortened(report: Report) -> tuple[Report, str]:
    """Where all labels are values of one key: the report with the values alone as labels, and the key."""
    start = f"{report.by[0]}=" if len(report.by) == 1 else ""
    if not start or not all(row.label.startswith(start) for row in report.rows):
        return report, ""
    rows = [replace(row, label=row.label.removeprefix(start)) for row in report.rows]
    pairs = [
        replace(pair, first=pair.first.removeprefix(start), second=pair.second.removeprefix(start))
        for pair in report.pairs
    ]
    paper = [replace(line, row=line.row.removeprefix(start)) for line in report.paper]
    return replace(report, rows=tuple(rows), pairs=tuple(pairs), paper=tuple(paper)), report.by[0]


def _measures(
    report: Report, key: str, title: str, names: Sequence[str], essential: str | None = None, *, bare: bool = False
) -> Grid | None:
    """``bare``: values without intervals. None where no row has any of them, or the essential one."""
    present = [name for name in names if any(name in row.measures for row in report.rows)]
    if "internalised" in names and "gain" in present and "internalised" not in present:
        present.insert(1, "internalised")
    if not present or (essential is not None and essential not in present):
        return None
    headings = [HEADINGS[name].format(last=report.last) for name in present]
    headings = [key, *(["seeds"] if title == SUCCESS else []), *headings]
    rows = []
    for row in report.rows:
        seeds = [_seeds(row)] if title == SUCCESS else []
        values = [numbers.shown(name, row.measures.get(name), interval=not bare) for name in present]
        rows.append((row.label, *seeds, *values))
    return Grid(numbers.marked(title, report), tuple(headings), tuple(rows))


def _settings(report: Report) -> Grid | None:
    """The settings that tell rows of single runs apart; labels say them elsewhere."""
    if report.by or not any(row.settings for row in report.rows):
        return None
    rows = []
    for row in report.rows:
        read = {key: value for key, value in row.settings.items() if value != UNREAD}
        rows.append((row.label, "\n".join(f"{key}={value_text(value)}" for key, value in read.items())))
    return Grid(SETTINGS, ("", "settings"), tuple(rows))


def _responses(report: Report) -> list[Grid]:
    """An axis' values down, the settings of the other axes across, where the rows do not tell them apart."""
    found = []
    for response in report.responses:
        if response.key in report.by:
            continue
        lines = list(dict.fromkeys(point.row for point in response.points))
        rates = {(value_text(point.x), point.row): numbers.rate(point.rate) for point in response.points}
        values = dict.fromkeys(value for value, _ in rates)
        rows = tuple((value, *(rates.get((value, line), numbers.MISSING) for line in lines)) for value in values)
        headings = (response.key, *(line or MEASURED["success"] for line in lines))
        title = f"{_metric(report)}, without skills, along {response.key}"
        found.append(Grid(numbers.marked(title, report), headings, rows, lead=1))
    return found


def _types(report: Report, key: str) -> list[Grid]:
    """Success by task type: a line a type, a column a row."""
    if len(report.types) < 2:
        return []
    rows = []
    for name in report.types:
        cells = [row.by_type.get(name) for row in report.rows]
        shown = [numbers.MISSING if one is None else numbers.rate(one) for one in cells]
        rows.append((name, str(report.tasks_by_type.get(name, numbers.MISSING)), *shown))
    headings = ("task type", "tasks", *(row.label for row in report.rows))
    title = f"{_metric(report)}, without skills, by task type{f' and {key}' if key else ''}"
    return [Grid(numbers.marked(title, report), headings, tuple(rows), lead=2)]


def _metric(report: Report) -> str:
    return "Score (× 100)" if report.metric == "score" else SUCCESS


def _paper(report: Report, key: str) -> Grid | None:
    if not report.paper:
        return None
    rows = []
    for one in report.paper:
        model = f"{one.model} (another model)" if one.other_model else one.model
        what = f"{one.metric}, {'with' if one.skills else 'without'} skills"
        published = f"{100 * one.published:.1f}"
        covered = "yes" if one.covered else "no"
        rows.append((one.row, f"{one.method}, {model}", what, published, numbers.rate(one.ours), covered))
    headings = (key, "published", "measure", "paper", "ours", "covered")
    note = "shares in %, scores × 100; covered: our interval holds the paper's number"
    return Grid(numbers.marked("Beside the paper's table 1", report), headings, tuple(rows), note)


def _seeds(row: Row) -> str:
    """``0``, ``0–4``, ``0, 7``."""
    seeds = row.seeds
    if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[0] + len(seeds))):
        return f"{seeds[0]}–{seeds[-1]}"
    return ", ".join(map(str, seeds))
