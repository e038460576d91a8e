"""A report as LaTeX tables with the booktabs package, to be input into a paper."""

from __future__ import annotations

import unicodedata

from sdar_cli.compare.render import numbers
from sdar_cli.compare.render.grid import Grid
from sdar_cli.compare.render.tables import SETTINGS, grids
from sdar_cli.compare.report import Report

LETTERS = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"{\char34}",
    "−": "$-$",
    "–": "--",
    "×": r"$\times$",
    "[": "{[}",
    "]": "{]}",
}
_UNSET = "«»ÐÞðþĄąĐđĘęĦħĮįĸĿŀŉŊŋŦŧŲųſ"
SET = frozenset(map(chr, range(0xA1, 0x180))) - frozenset(_UNSET) | frozenset("‘’“”…—")
"""Letters beyond ASCII that pdfLaTeX sets with its own fonts; any other stops it."""


def latex(report: Report) -> str:
    """Every table in a ``table`` environment of its own; the caption says conditions, intervals, what was forced."""
    lines = ["% \\usepackage{booktabs} and, before TeX Live 2018, \\usepackage[utf8]{inputenc}"]
    lines += [f"% {numbers.one_line(note)}" for note in report.notes]
    parts = [part for grid in grids(report) if grid.title != SETTINGS for part in grid.parts()]
    for number, grid in enumerate(parts):
        lines += ["", *_table(grid, report, number)]
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """Text that any LaTeX sets as it is, on one line; a letter that it has not by its number, ``[U+1F9CA]``."""
    return "".join(_letter(letter) for letter in unicodedata.normalize("NFC", numbers.one_line(text)))


def _letter(letter: str) -> str:
    if letter in LETTERS:
        return LETTERS[letter]
    return letter if letter.isascii() or letter in SET else f"{{[}}U+{ord(letter):04X}{{]}}"


def _table(grid: Grid, report: Report, number: int) -> list[str]:
    caption = f"{grid.title}. {numbers.conditions(report)}. {numbers.intervals(report)}"
    if grid.note:
        caption += f" {grid.note}."
    if report.forced:
        caption = f"{numbers.forced_line(report)}. {caption}"
    return [
        r"\begin{table}",
        r"  \centering\small\setlength{\tabcolsep}{4pt}\setlength{\belowcaptionskip}{6pt}",
        f"  \\caption{{{escape(caption)}}}",
        f"  \\label{{tab:sdar-{number}}}",
        f"  \\begin{{tabular}}{{l{'r' * (len(grid.headings) - 1)}}}",
        r"    \toprule",
        f"    {_row(grid.headings)}",
        r"    \midrule",
        *(f"    {_row(row)}" for row in grid.rows),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]


def _row(cells: tuple[str, ...]) -> str:
    return " & ".join(escape(cell) for cell in cells) + r" \\"
