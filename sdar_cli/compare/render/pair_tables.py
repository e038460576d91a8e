"""Differences of rows as tables: over the panel, and by task type."""

from __future__ import annotations

from collections.abc import Sequence

from sdar_cli.compare.render import numbers
from sdar_cli.compare.render.grid import Grid
from sdar_cli.compare.report import Pair, Report

MEASURED = {
    "success": "without skills",
    "success_skills": "with skills",
    "score": "score, without skills",
}


def _pairs(report: Report) -> list[Grid]:
    """A table for each measure and test."""
    found: dict[tuple[str, str], list[Pair]] = {}
    for pair in report.pairs:
        if pair.part is None:
            found.setdefault((pair.measure, pair.test), []).append(pair)
    return [
        _of_pairs(report, f"Differences {MEASURED[measure]}: {test}", pairs) for (measure, test), pairs in found.items()
    ]


def _of_pairs(report: Report, title: str, pairs: Sequence[Pair]) -> Grid:
    methods = any(pair.improvement is not None for pair in pairs)
    effect = pairs[0].effect_name.removeprefix("Cohen's ") or "effect"
    headings = ["first − second", "difference", "p", "p (Holm)", effect]
    rows = []
    for pair in pairs:
        row = [numbers.pair_name(pair), *_tested(pair), numbers.effect(pair)]
        rows.append((*row, *([numbers.improvement(pair)] if methods else []), numbers.needed(pair)))
    headings += [*(["P(better)"] if methods else []), "needed"]
    note = _sizes(pairs)
    if pairs[0].effect_name:
        note += f"; {effect}: {pairs[0].effect_name}"
    if methods:
        note += "; P(better): that a seed of the first exceeds one of the second"
    return Grid(numbers.marked(title, report), tuple(headings), tuple(rows), note)


def _tested(pair: Pair) -> tuple[str, str, str]:
    return numbers.difference(pair), numbers.p_value(pair.p_value), numbers.p_value(pair.p_adjusted)


def _sizes(pairs: Sequence[Pair]) -> str:
    counts = sorted({pair.count for pair in pairs})
    what = numbers.counted(pairs[0])
    size = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"{size} {what}; needed: {what} that show such a difference in 80 % of studies"


def _type_pairs(report: Report, most: int | None) -> list[Grid]:
    """By test; a pair that is the only one stands in the title."""
    tests: dict[str, list[Pair]] = {}
    for pair in report.pairs:
        if pair.part is not None:
            tests.setdefault(pair.test, []).append(pair)
    found = []
    for test, pairs in tests.items():
        only = numbers.pair_name(pairs[0]) if len({numbers.pair_name(pair) for pair in pairs}) == 1 else None
        shown, note = pairs, _sizes(pairs)
        if most is not None and len(pairs) > most:
            shown = [pair for pair in pairs if pair.p_adjusted < 1 - report.level]
            note += (
                f"; {len(pairs) - len(shown)} of {len(pairs)} pairs, with p (Holm) of {1 - report.level:.2g} or more, "
            )
            note += "are left out here"
        names = [f"{pair.part}" if only else f"{pair.part}: {numbers.pair_name(pair)}" for pair in shown]
        rows = [(name, *_tested(pair), numbers.needed(pair)) for name, pair in zip(names, shown, strict=True)]
        headings = ("task type" if only else "type: first − second", "difference", "p", "p (Holm)", "needed")
        title = f"Differences by task type{f', {only}' if only else ''}: {test}"
        found.append(Grid(numbers.marked(title, report), headings, tuple(rows), note))
    return found
