"""The table in a terminal, and the tables of docs/performance.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import marked
from spread import Cell

from speed.parts import PARTS, Line, Part

SUMMARY = "targets"
"""Name of the table of all targets."""

Kept = Mapping[str, Mapping[str, Any]]
"""Part → what ``command.run`` gave."""


def show(kept: Kept) -> None:
    """80 columns."""
    print(f"{'':<38}{'median':>8}{'quartiles':>18}{'target':>16}")
    for name, part in present(kept):
        print(f"\n{part.title} ({part.program})")
        if "absent" in kept[name]:
            print(f"  not measured: {kept[name]['absent']}")
            continue
        for line, cell in lines(part, kept[name]):
            middle, quartiles = spread(cell)
            print(f"{line.label:<38}{middle:>8}{quartiles:>18}{verdict(line, cell):>16}".rstrip())


def markdown(kept: Kept) -> dict[str, str]:
    """Part → its table, with command and machine above; under ``SUMMARY`` all that have a target."""
    out = {SUMMARY: summary(kept)}
    for name, part in PARTS.items():
        if name not in kept:
            out[name] = f"Not measured: `python benchmarks/speed.py --only {name}`."
            continue
        if "absent" in kept[name]:
            out[name] = "No GPU could be used; `benchmarks/gpu.py` prints the table at real shapes."
            continue
        own = kept[name]
        body = [[line.label, *spread(cell), verdict(line, cell)] for line, cell in lines(part, own)]
        written = marked.table(["ratio", "median", "quartiles", "target"], body)
        out[name] = f"`{own['command']}`; {own['machine']}.\n\n{written}"
    return out


def summary(kept: Kept) -> str:
    body = [
        [
            part.title,
            line.label,
            *spread(cell),
            str(line.target),
            "met" if line.target.met(cell["median"]) else "**not met**",
        ]
        for name, part in present(kept)
        if "absent" not in kept[name]
        for line, cell in lines(part, kept[name])
        if line.target is not None
    ]
    return marked.table(["", "ratio", "median", "quartiles", "target", "median within it"], body)


def present(kept: Kept) -> Iterator[tuple[str, Part]]:
    return ((name, part) for name, part in PARTS.items() if name in kept)


def lines(part: Part, own: Mapping[str, Any]) -> Iterator[tuple[Line, Cell]]:
    """Raises SystemExit for a ratio that the program no longer measures."""
    cells = part.cells(own["figures"])
    for line in part.lines:
        if line.key not in cells:
            raise SystemExit(f"{part.program} gives no ratio {line.key!r}: correct speed/parts.py, or measure it again")
        yield line, cells[line.key]


def spread(cell: Cell) -> list[str]:
    """The median; the quartiles."""
    return [digits(cell["median"]), f"{digits(cell['q1'])} to {digits(cell['q3'])}"]


def digits(value: float) -> str:
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def verdict(line: Line, cell: Cell) -> str:
    if line.target is None:
        return ""
    return f"{line.target} {'met' if line.target.met(cell['median']) else 'NOT met'}"
