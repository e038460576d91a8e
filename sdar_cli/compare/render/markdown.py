"""A report as Markdown: pipe tables, as GitHub and most editors show them."""

from __future__ import annotations

import re

from sdar_cli.compare.render import numbers
from sdar_cli.compare.render.grid import Grid
from sdar_cli.compare.render.tables import grids
from sdar_cli.compare.report import Report


def markdown(report: Report) -> str:
    lines = [f"# {numbers.marked(escape(report.title), report)}", ""]
    if report.forced:
        lines += [f"> **{escape(numbers.forced_line(report))}**", ""]
    lines += [escape(numbers.conditions(report)) + ".", "", escape(numbers.intervals(report)), ""]
    for grid in grids(report):
        lines += _table(grid)
    if report.notes:
        lines += ["## Notes", "", *(f"- {escape(note)}" for note in report.notes), ""]
    return "\n".join(lines)


def escape(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return re.sub(r"([\\`*_{}\[\]<>#|~$&])", r"\\\1", numbers.one_line(text))


def _table(grid: Grid) -> list[str]:
    rule = "|".join([" --- ", *(" ---: " for _ in grid.headings[1:])])
    lines = [f"## {escape(grid.title)}", "", _row(grid.headings), f"|{rule}|", *map(_row, grid.rows), ""]
    return [*lines, f"{escape(grid.note)}.", ""] if grid.note else lines


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join("<br>".join(escape(line) for line in cell.split("\n")) for cell in cells) + " |"
