"""A report for a terminal: readable at 80 columns, and nothing that only colour says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from sdar_cli.compare.render import numbers
from sdar_cli.compare.render.tables import Grid, grids
from sdar_cli.compare.report import Report

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

WIDE = 3
"""Columns of intervals that 80 characters hold beside the first."""
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
    for grid in grids(report):
        for part in _narrow(_short(grid, report)):
            console.print()
            console.print(_table(part, console.width))
            if part.note:
                _say(console, part.note, "dim")
    if report.notes:
        console.print()
    for note in report.notes:
        _say(console, f"* {note}")


def _short(grid: Grid, report: Report) -> Grid:
    """Long lists of pairs by type without those that the correction leaves nothing of."""
    if not grid.title.startswith("Differences by task type") or len(grid.rows) <= MANY:
        return grid
    kept = {
        f"{pair.part}: {numbers.pair_name(pair)}"
        for pair in report.pairs
        if pair.part is not None and pair.p_adjusted < 1 - report.level
    }
    rows = tuple(row for row in grid.rows if row[0] in kept)
    note = f"{grid.note}; {len(grid.rows) - len(rows)} of {len(grid.rows)} pairs, with p (Holm) of "
    return Grid(grid.title, grid.headings, rows, f"{note}{1 - report.level:.2g} or more, are left out here")


def _narrow(grid: Grid) -> list[Grid]:
    """A table by task type in parts of as many columns as fit."""
    if grid.headings[:2] != ("task type", "tasks") or len(grid.headings) <= 2 + WIDE:
        return [grid]
    parts = []
    for start in range(2, len(grid.headings), WIDE):
        end = start + WIDE
        rows = tuple((*row[:2], *row[start:end]) for row in grid.rows)
        parts.append(Grid(grid.title, (*grid.headings[:2], *grid.headings[start:end]), rows, grid.note))
    return parts


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
    of_labels = grid.headings[0] == "task type"
    needed = [longest if of_labels else max(longest, len(grid.headings[i])) for i, longest in enumerate(cells)]
    fits = sum(needed[1:]) + 2 * len(needed) + LEAST <= width and grid.headings != ("", "settings")
    for place, heading in enumerate(grid.headings):
        justify: Literal["left", "right"] = "left" if place == 0 or grid.headings[1] == "settings" else "right"
        table.add_column(
            Text(numbers.one_line(heading)),
            justify=justify,
            overflow="fold",
            no_wrap=fits and place > 0 and not of_labels,
            min_width=cells[place] if fits and place > 0 else None,
        )
    for row in grid.rows:
        table.add_row(*(Text(_visible(cell)) for cell in row))
    return table


def _visible(cell: str) -> str:
    return "\n".join(numbers.one_line(line) for line in cell.split("\n"))


def _say(console: Console, text: str, style: str | None = None) -> None:
    console.print(numbers.one_line(text), style=style, markup=False, highlight=False)
