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


def pair_tables(report: Report, key: str) -> list[Grid]:
    """A table for each measure and test; ``key``: the setting that the rows' labels are values of, if any."""
    found: dict[tuple[str, str], list[Pair]] = {}
    for pair in report.pairs:
        if pair.part is None:
            found.setdefault((pair.measure, pair.test), []).append(pair)
    return [
        _of_pairs(report, key, f"Differences {MEASURED[measure]}: {test}", pairs)
        for (measure, test), pairs in found.items()
    ]


def type_pair_tables(report: Report, key: str, most: int | None) -> list[Grid]:
    """A table for each test; of more pairs than ``most`` those that Holm's correction leaves.

    A pair that is the only one stands in the title.
    """
    found: dict[str, list[Pair]] = {}
    for pair in report.pairs:
        if pair.part is not None:
            found.setdefault(pair.test, []).append(pair)
    return [_of_type_pairs(report, key, test, pairs, most) for test, pairs in found.items()]


def _of_pairs(report: Report, key: str, title: str, pairs: Sequence[Pair]) -> Grid:
    methods = any(pair.improvement is not None for pair in pairs)
    effect = pairs[0].effect_name.removeprefix("Cohen's ") or "effect"
    headings = [_heading(key), "difference", "p", "p (Holm)", effect, *(["P(better)"] if methods else []), "needed"]
    rows = []
    for pair in pairs:
        improvement = [numbers.improvement(pair)] if methods else []
        rows.append((numbers.pair_name(pair), *_tested(pair), numbers.effect(pair), *improvement, numbers.needed(pair)))
    note = _sizes(pairs)
    if pairs[0].effect_name:
        note += f"; {effect}: {pairs[0].effect_name}"
    if methods:
        note += "; P(better): that a seed of the first exceeds one of the second"
    return Grid(numbers.marked(title, report), tuple(headings), tuple(rows), note)


def _of_type_pairs(report: Report, key: str, test: str, pairs: Sequence[Pair], most: int | None) -> Grid:
    names = {numbers.pair_name(pair) for pair in pairs}
    title = "Differences by task type"
    if len(names) == 1:
        title += f", {f'{key} ' if key else ''}{names.pop()}"
        rows = [(str(pair.part), *_tested(pair), numbers.needed(pair)) for pair in pairs]
        return Grid(numbers.marked(f"{title}: {test}", report), ("task type", *_TESTED), tuple(rows), _sizes(pairs))
    shown, note = pairs, _sizes(pairs)
    if most is not None and len(pairs) > most:
        shown = [pair for pair in pairs if pair.p_adjusted < 1 - report.level]
        left = f"{len(pairs) - len(shown)} of {len(pairs)} pairs, with p (Holm) of {1 - report.level:.2g} or more"
        note += f"; {left}, are left out here"
    rows = [(f"{pair.part}: {numbers.pair_name(pair)}", *_tested(pair), numbers.needed(pair)) for pair in shown]
    headings = (f"type: {_heading(key)}", *_TESTED)
    return Grid(numbers.marked(f"{title}: {test}", report), headings, tuple(rows), note)


_TESTED = ("difference", "p", "p (Holm)", "needed")


def _tested(pair: Pair) -> tuple[str, str, str]:
    return numbers.difference(pair), numbers.p_value(pair.p_value), numbers.p_value(pair.p_adjusted)


def _heading(key: str) -> str:
    return f"{key}, first − second" if key else "first − second"


def _sizes(pairs: Sequence[Pair]) -> str:
    counts = sorted({pair.count for pair in pairs})
    what = numbers.counted(pairs[0])
    size = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"{size} {what}; needed: {what} that show such a difference in 80 % of studies"
