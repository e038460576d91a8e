"""A report as LaTeX tables with the booktabs package, to be input into a paper."""

from __future__ import annotations

from sdar_cli.compare.render import numbers
from sdar_cli.compare.render.tables import SETTINGS, Grid, grids
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
    '"': r"\textquotedbl{}",
    "−": "$-$",
    "–": "--",
    "×": r"$\times$",
    "[": "{[}",
    "]": "{]}",
}


def latex(report: Report) -> str:
    """Every table in a ``table`` environment of its own; the caption says conditions, intervals, what was forced."""
    lines = ["% \\usepackage{booktabs} and, before TeX Live 2018, \\usepackage[utf8]{inputenc}"]
    lines += [f"% {numbers.one_line(note)}" for note in report.notes]
    parts = [part for grid in grids(report) if grid.title != SETTINGS for part in grid.parts()]
    for number, grid in enumerate(parts):
        lines += ["", *_table(grid, report, number)]
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """Text that LaTeX sets as it is, on one line."""
    return "".join(LETTERS.get(letter, letter) for letter in numbers.one_line(text))


def _table(grid: Grid, report: Report, number: int) -> list[str]:
    caption = f"{grid.title}. {numbers.conditions(report)}. {numbers.intervals(report)}"
    if grid.note:
        caption += f" {grid.note}."
    if report.forced:
        caption = f"{numbers.forced_line(report)}. {caption}"
    return [
        r"\begin{table}",
        r"  \centering",
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
