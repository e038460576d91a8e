"""Output: results go to standard output, talk to standard error; colour only on a terminal that wants it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sdar_cli.cli.streams import console, talk
from sdar_cli.errors import without_credentials
from sdar_cli.visible import escaped, visible

if TYPE_CHECKING:
    from rich.text import Text

JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
RunsOption = Annotated[
    Path | None, typer.Option("--runs", metavar="DIR", help="Runs folder; else SDAR_RUNS, else ./runs.")
]


def print_json(value: Any) -> None:
    """JSON whatever the stream's encoding; what a terminal obeys, and what nobody sees, as escapes."""
    encoding = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("_", "-")
    print(escaped(json.dumps(value, indent=2, ensure_ascii=encoding not in ("utf-8", "utf8"))))


def say(text: str = "", end: str = "\n") -> None:
    """Lines of a result, whose names and texts others may have written."""
    print(visible(text), end=end)


def cell(text: str) -> Text:
    """A text in a table of rich's, on a line of its own."""
    from rich.text import Text

    return Text(one_line(text))


def one_line(text: str) -> str:
    """A name or a note on a line."""
    return visible(" ".join(text.splitlines()))


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]], numeric: Sequence[str] = ()) -> None:
    """A plain table on standard output; columns in ``numeric`` are set flush right."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading, justify="right" if heading in numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(visible(text)) for text in row))
    console().print(table)


def note(text: str) -> None:
    """One line of talk."""
    print(visible(without_credentials(text)), file=talk, flush=True)


def confirm(question: str) -> bool:
    """Whether who sits at the terminal says yes; the question may hold names that others have written."""
    return typer.confirm(one_line(without_credentials(question)), err=True)


def moment(seconds: float | None) -> str:
    """Local date and minute, or a dash; a question mark for what no calendar has."""
    if seconds is None:
        return "-"
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
    except (OverflowError, ValueError, OSError):
        return "?"


def duration(seconds: float) -> str:
    """``42 s``, ``7 min`` or ``3.2 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def count(value: float) -> str:
    """A number with at most three digits before its unit: ``104 k``, ``3.3 M``."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.0f}"


def bytes_(value: float) -> str:
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if abs(value) >= size:
            return f"{value / size:,.1f} {unit}"
    return f"{value:.0f} B"
