"""A report as plain tables, which every text output lays out in its own way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sdar_cli.compare.cells import UNREAD
from sdar_cli.compare.cells import text as value_text
from sdar_cli.compare.render import numbers
from sdar_cli.compare.report import Pair, Report, Row

SUCCESS = "Success, % of tasks"
MEASURED = {
    "success": "without skills",
    "success_skills": "with skills",
    "score": "score, without skills",
}
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


@dataclass(frozen=True, slots=True)
class Grid:
    """Headings and rows of text; the first column names the row, the others are numbers."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def grids(report: Report) -> list[Grid]:
    """All tables of a report, in the order of reading."""
    found = [
        _measures(report, SUCCESS, ("success", "success_skills", "gap")),
        _settings(report),
        _measures(report, "What moved into the weights", ("gain", "internalised", "iqm")),
        _measures(report, "Native score (× 100)", ("score", "score_skills")),
        _measures(report, "Best and last evaluations", ("best", "final", "inflation"), "best"),
        *_pairs(report),
        *_types(report),
        *_type_pairs(report),
        _paper(report),
        _measures(report, "Episodes", ("turns", "response_tokens", "prompt_tokens", "invalid"), bare=True),
        _measures(report, "Cost", ("seconds", "device_hours", "cost"), bare=True),
    ]
    return [grid for grid in found if grid is not None and grid.rows]


def _measures(
    report: Report, title: str, names: Sequence[str], essential: str | None = None, *, bare: bool = False
) -> Grid | None:
    """``bare``: values without intervals. None where no row has any of them, or the essential one."""
    present = [name for name in names if any(name in row.measures for row in report.rows)]
    if "internalised" in names and "gain" in present and "internalised" not in present:
        present.insert(1, "internalised")
    if not present or (essential is not None and essential not in present):
        return None
    headings = ["", *(["seeds"] if title == SUCCESS else []), *(HEADINGS[name] for name in present)]
    headings = [heading.format(last=report.last) for heading in headings]
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
    return Grid("Settings that differ", ("", "settings"), tuple(rows))


def _pairs(report: Report) -> list[Grid]:
    """A table for each measure and test."""
    found: dict[tuple[str, str], list[Pair]] = {}
    for pair in report.pairs:
        if pair.part is None:
            found.setdefault((pair.measure, pair.test), []).append(pair)
    return [
        _of_pairs(report, f"Differences {MEASURED[measure]}: {test}", pairs) for (measure, test), pairs in found.items()
    ]


def _of_pairs(report: Report, title: str, pairs: Sequence[Pair], *, part: bool = False) -> Grid:
    methods = any(pair.improvement is not None for pair in pairs)
    counts = sorted({pair.count for pair in pairs})
    what = numbers.counted(pairs[0])
    size = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    effect = pairs[0].effect_name.removeprefix("Cohen's ") or "effect"
    headings = ["first − second", "difference", "p", "p (Holm)", effect]
    rows = []
    for pair in pairs:
        name = f"{pair.part}: {numbers.pair_name(pair)}" if part else numbers.pair_name(pair)
        row = [name, numbers.difference(pair), numbers.p_value(pair.p_value), numbers.p_value(pair.p_adjusted)]
        row += [numbers.effect(pair), *([numbers.improvement(pair)] if methods else []), numbers.needed(pair)]
        rows.append(tuple(row))
    headings += [*(["P(better)"] if methods else []), "needed"]
    note = f"{size} {what}; needed: {what} that show such a difference in 80 % of studies"
    if pairs[0].effect_name:
        note += f"; {effect}: {pairs[0].effect_name}"
    if methods:
        note += "; P(better): that a seed of the first exceeds one of the second"
    return Grid(numbers.marked(title, report), tuple(headings), tuple(rows), note)


def _types(report: Report) -> list[Grid]:
    """Success by task type: a line a type, a column a row."""
    if len(report.types) < 2:
        return []
    rows = []
    for name in report.types:
        cells = [row.by_type.get(name) for row in report.rows]
        shown = [numbers.MISSING if one is None else numbers.rate(one) for one in cells]
        rows.append((name, str(report.tasks_by_type.get(name, numbers.MISSING)), *shown))
    what = "Score (× 100)" if report.metric == "score" else SUCCESS
    headings = ("task type", "tasks", *(row.label for row in report.rows))
    return [Grid(numbers.marked(f"{what}, without skills, by task type", report), headings, tuple(rows))]


def _type_pairs(report: Report) -> list[Grid]:
    found: dict[str, list[Pair]] = {}
    for pair in report.pairs:
        if pair.part is not None:
            found.setdefault(pair.test, []).append(pair)
    return [_of_pairs(report, f"Differences by task type: {test}", pairs, part=True) for test, pairs in found.items()]


def _paper(report: Report) -> Grid | None:
    if not report.paper:
        return None
    rows = []
    for one in report.paper:
        model = f"{one.model} (another model)" if one.other_model else one.model
        what = f"{one.metric}, {'with' if one.skills else 'without'} skills"
        published = f"{100 * one.published:.1f}"
        covered = "yes" if one.covered else "no"
        rows.append((one.row, f"{one.method}, {model}", what, published, numbers.rate(one.ours), covered))
    headings = ("", "published", "measure", "paper", "ours", "covered")
    note = "shares in %, scores × 100; covered: our interval holds the paper's number"
    return Grid(numbers.marked("Beside the paper's table 1", report), headings, tuple(rows), note)


def _seeds(row: Row) -> str:
    """``0``, ``0–4``, ``0, 7``."""
    seeds = row.seeds
    if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[0] + len(seeds))):
        return f"{seeds[0]}–{seeds[-1]}"
    return ", ".join(map(str, seeds))
