"""A table as text, which every output lays out in its own way."""

from __future__ import annotations

from dataclasses import dataclass, replace

WIDE = 3
"""Columns of intervals that 80 characters, or a page of paper, hold beside the first."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Headings and rows of text; the first column names the row, the others are numbers."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    lead: int = 0
    """Where the columns after it are the report's rows, which may be many: the columns that each part repeats."""

    def parts(self) -> list[Grid]:
        """Tables of ``WIDE`` such columns each."""
        if not self.lead or len(self.headings) <= self.lead + WIDE:
            return [self]
        found = []
        for start in range(self.lead, len(self.headings), WIDE):
            headings, *rows = (
                (*line[: self.lead], *line[start : start + WIDE]) for line in (self.headings, *self.rows)
            )
            found.append(replace(self, headings=headings, rows=tuple(rows)))
        return found
