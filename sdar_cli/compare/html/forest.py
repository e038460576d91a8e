"""Pairs as a forest of intervals around zero."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sdar_cli.compare.html.numbers import number, p_value
from sdar_cli.compare.html.tables import Mark
from sdar_cli.compare.report import MEASURES, Pair, Report


@dataclass(frozen=True, slots=True)
class ForestLine:
    pair: Pair
    name: str
    mark: Mark
    difference: str
    limits: str
    p: str
    adjusted: str
    count: str
    effect: str
    needed: str


@dataclass(frozen=True, slots=True)
class ForestPart:
    ticks: tuple[tuple[float, str], ...]
    """(place in percent, text)."""
    lines: tuple[ForestLine, ...]


@dataclass(frozen=True, slots=True)
class Forest:
    measure: str
    whole: ForestPart | None
    parts: ForestPart | None
    """By task type, on a scale of their own."""


def forests(report: Report) -> list[Forest]:
    """The pairs' differences, a forest a measure."""
    measures = list(dict.fromkeys(pair.measure for pair in report.pairs))
    return [_forest(name, [pair for pair in report.pairs if pair.measure == name]) for name in measures]


def _forest(measure: str, pairs: Sequence[Pair]) -> Forest:
    label = MEASURES[measure].label if measure in MEASURES else measure
    whole = _part([pair for pair in pairs if pair.part is None])
    return Forest(label, whole, _part([pair for pair in pairs if pair.part is not None]))


def _part(pairs: Sequence[Pair]) -> ForestPart | None:
    if not pairs:
        return None
    most = max(max(abs(low), abs(high)) for _, low, high in map(_in_points, pairs))
    reach = next((end for end in (4, 10, 20, 40, 60, 80) if most <= end), 100)
    half = reach // 2
    ticks = tuple((_place(value, reach), number(value, 0, sign=True)) for value in (-half, 0, half))
    return ForestPart(ticks, tuple(_forest_line(pair, reach) for pair in pairs))


def _in_points(pair: Pair) -> tuple[float, float, float]:
    """Difference and limits; those of a score are × 100 already."""
    factor = 1 if pair.measure == "score" else 100
    return pair.difference.estimate * factor, pair.difference.low * factor, pair.difference.high * factor


def _forest_line(pair: Pair, reach: int) -> ForestLine:
    found = _in_points(pair)
    said, low, high = (number(value, 1, sign=True) for value in found)
    name, between = f"{pair.first} − {pair.second}", f"[{low}, {high}]"
    kind = "none" if 0 in pair.difference else "above" if found[0] > 0 else "below"
    unit = "tasks" if pair.about == "checkpoints" else "seeds"
    return ForestLine(
        pair,
        name,
        Mark(*(_place(value, reach) for value in found), kind, f"{name}: {said} {between} points"),
        said,
        between,
        p_value(pair.p_value),
        p_value(pair.p_adjusted),
        f"{pair.count} {unit}",
        "" if pair.effect is None else f"{pair.effect_name} {number(pair.effect, 2, sign=True)}".strip(),
        "–" if pair.needed is None else f"{number(pair.needed, 0)} {unit}",
    )


def _place(value: float, reach: float) -> float:
    """Percent of a track from −reach to +reach."""
    return round(max(0.0, min(100.0, 50 + 50 * value / reach)), 2)
