"""A report for a terminal: readable at 80 columns, and nothing that only colour says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from sdar_cli.compare.render import numbers
from sdar_cli.compare.render.grid import Grid
from sdar_cli.compare.render.tables import grids
from sdar_cli.compare.report import Report

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

LEAST = 10
"""Characters that the first column keeps."""
MANY = 12
"""Pairs by task type from which only those that are left after Holm's correction are shown."""


def render(report: Report, console: Console) -> None:
    """Print the tables, then the notes."""
    _say(console, f"{'FORCED comparison' if report.forced else 'Comparison'}: {report.title}", "bold")
    if report.forced:
        _say(console, numbers.forced_line(report), "bold")
    _say(console, numbers.conditions(report))
    _say(console, numbers.intervals(report))
    for grid in grids(report, most_by_type=MANY):
        for part in grid.parts():
            console.print()
            console.print(_table(part, console.width))
            if part.note:
                _say(console, part.note, "dim")
    if report.notes:
        console.print()
    for note in report.notes:
        _say(console, f"* {note}")


def _table(grid: Grid, width: int) -> Table:
    """Numbers stay on one line where the width allows; the first column folds."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(numbers.one_line(grid.title)),
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 0, 0, 1),
        pad_edge=False,
    )
    cells = [max((len(row[place]) for row in grid.rows), default=0) for place in range(len(grid.headings))]
    needed = [longest if grid.lead else max(longest, len(grid.headings[i])) for i, longest in enumerate(cells)]
    room = width - sum(needed[1:]) - 2 * len(needed)
    fits = room >= LEAST and grid.headings != ("", "settings")
    for place, heading in enumerate(grid.headings):
        justify: Literal["left", "right"] = "left" if place == 0 or grid.headings[1] == "settings" else "right"
        named = numbers.one_line(heading)
        table.add_column(
            Text(_wrapped(named, room) if fits and place == 0 else named),
            justify=justify,
            overflow="fold",
            no_wrap=fits and place > 0 and not grid.lead,
            min_width=cells[place] if fits and place > 0 else None,
        )
    for label, *values in grid.rows:
        shown = _visible(label)
        table.add_row(*map(Text, (_wrapped(shown, room) if fits else shown, *map(_visible, values))))
    return table


def _wrapped(label: str, room: int) -> str:
    from rich.cells import cell_len

    lines = [""]
    for word in numbers.BREAKS.split(label):
        if lines[-1] and cell_len(lines[-1] + word.rstrip()) > room:
            lines.append("")
        lines[-1] += word
    return "\n".join(line.rstrip() for line in lines)


def _visible(cell: str) -> str:
    return "\n".join(numbers.one_line(line) for line in cell.split("\n"))


def _say(console: Console, text: str, style: str | None = None) -> None:
    console.print(numbers.one_line(text), style=style, markup=False, highlight=False)
