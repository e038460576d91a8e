"""What tables of evaluations are made of: numbers as text, plain tables, and four cells with their differences."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING

from sdar_cli.evaluation.cells import Cells
from sdar_cli.evaluation.report import points
from sdar_cli.statistics import Interval
from sdar_cli.visible import visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

MODES = {"no_skills": "without skills", "skills": "with skills"}


def percent(rate: Interval) -> str:
    """``61.7 % [53.1–69.7]``."""
    return f"{100 * rate.estimate:.1f} % [{100 * rate.low:.1f}–{100 * rate.high:.1f}]"


def hundredths(score: Interval) -> str:
    """``61.7 [53.1–69.7]``: a score × 100."""
    return percent(score).replace(" %", "")


def difference(value: Interval | None) -> str:
    """``+48.4 [+38.2, +57.0]``, in percentage points; nothing for None."""
    return "" if value is None else f"{points(value.estimate)} [{points(value.low)}, {points(value.high)}]"


def cells_table(title: str, cells: Cells, show: Callable[[Interval], str] = percent) -> Table:
    """A row each for base and trained, then the gain where there is a base."""
    table = plain_table(title, "", "without skills", "with skills", "gap (with − without)")
    for (label, without, with_skills), gap in zip(cells.rows, cells.gaps, strict=True):
        table.add_row(escape(label), show(without), show(with_skills), difference(gap))
    if cells.gain is not None:
        table.add_section()
        table.add_row("gain", difference(cells.gain), difference(cells.gain_with), "", style="bold")
    return table


def plain_table(title: str, first: str, *columns: str) -> Table:
    """Numbers flush right; the first column folds where the line is full."""
    from rich import box
    from rich.table import Table

    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
        pad_edge=False,
    )
    table.add_column(first, overflow="fold")
    for column in columns:
        table.add_column(column, justify="right")
    return table


def plain(render: Callable[[Console], None], width: int = 80) -> str:
    """What ``render`` prints on a console without colour."""
    from rich.console import Console

    text = io.StringIO()
    render(Console(file=text, width=width, color_system=None, force_terminal=False, legacy_windows=False))
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def escape(text: str) -> str:
    """The text as it is, also where rich would read markup, or a terminal a command."""
    from rich.markup import escape

    return escape(visible(text))
