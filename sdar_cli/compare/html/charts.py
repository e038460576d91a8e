"""The page's charts, from a report."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from markupsafe import Markup

from sdar_cli.compare.html.axis import padded, share_top
from sdar_cli.compare.html.numbers import interval_text, number, significant
from sdar_cli.compare.html.svg import Axis, Line, Point, colour, line_chart, wide_chart
from sdar_cli.compare.report import Report, Response, ResponsePoint, Row

SIGNALS = {
    "rollout/success": "success in training",
    "rollout/invalid_action_rate": "invalid actions",
    "gap/mean": "gap, mean (nats)",
    "gap/negative": "share of negative gaps",
    "gate/mean": "gate, mean",
    "gate/active": "share of tokens with gate > ½",
    "loss/distill": "distillation loss",
    "loss/policy": "policy loss",
    "policy/kl": "KL to the reference",
    "policy/entropy": "entropy (nats)",
    "policy/clip_ratio": "share of clipped tokens",
    "rollout/response_tokens": "response tokens an episode",
    "rollout/turns": "turns an episode",
}
"""Labels of what the journal calls by these names, in the order of display; others come after, under their own."""
SHARES = {"rollout/success", "rollout/invalid_action_rate", "gap/negative", "gate/active"}
MOST_POINTS = 160
"""Points that a line of a signal is drawn with; longer ones are averaged over equal stretches of steps."""


def curves(report: Report) -> Markup:
    """Success over steps, without skills, with bands."""
    lines = []
    for index, row in enumerate(report.rows):
        points = tuple(
            Point(p.step, p.rate.estimate, interval_text(p.rate), p.rate.low, p.rate.high) for p in row.curve
        )
        lines.append(Line(row.label, colour(index), points))
    shown = [point for line in lines for point in line.points]
    if not shown:
        return Markup("")
    steps = [point.x for point in shown]
    x = Axis("step", min(steps), max(steps), lambda value: number(value, 0), whole=True)
    return wide_chart("Success without skills", lines, x, _shares([point.high or point.y for point in shown]))


def responses(report: Report) -> list[Markup]:
    return [_response(report, one) for one in report.responses]


def _response(report: Report, response: Response) -> Markup:
    values = list(dict.fromkeys(point.x for point in response.points))
    numeric = response.numeric and all(isinstance(value, int | float) for value in values)
    log = numeric and response.log and all(value > 0 for value in values)
    place: Callable[[Any], float] = float if numeric else lambda value: float(values.index(value))
    named = {place(value): _typed(value) for value in values}
    places = sorted(named)
    low, high = padded([math.log(value) for value in places] if log else places, 0.08)
    if log:
        low, high = math.exp(low), math.exp(high)
    x = Axis(response.key, low, high, lambda value: named.get(value, significant(value)), log, tuple(places))
    lines = []
    for index, name in enumerate(dict.fromkeys(point.row for point in response.points)):
        points = [_response_point(point, place(point.x)) for point in response.points if point.row == name]
        points.sort(key=lambda point: point.x)
        lines.append(Line(name, colour(index), tuple(points), band=False, joined=numeric))
    highs = [max([point.high or point.y, *point.others]) for line in lines for point in line.points]
    return wide_chart(f"{_metric(report)} along {response.key}", lines, x, _shares(highs), own_legend=True)


def _response_point(point: ResponsePoint, place: float) -> Point:
    spread = ", ".join(number(100 * seed) for seed in point.seeds)
    text = interval_text(point.rate) + (f", seeds {spread}" if len(point.seeds) > 1 else "")
    return Point(place, point.rate.estimate, text, point.rate.low, point.rate.high, point.seeds)


def _metric(report: Report) -> str:
    return "Success without skills" if report.metric == "success" else "Score without skills"


def by_turn(rows: Sequence[Row]) -> list[Markup]:
    """Gap and gate by turn index."""
    charts = []
    for name, title in (("gap", "Gap by turn (nats)"), ("gate", "Gate by turn")):
        lines = []
        for index, row in enumerate(rows):
            values = enumerate(row.by_turn.get(name, ()), start=1)
            points = tuple(Point(turn, value, significant(value)) for turn, value in values if _finite(value))
            lines.append(Line(row.label, colour(index), points))
        shown = [point for line in lines for point in line.points]
        if shown:
            turns = [point.x for point in shown]
            x = Axis("turn", 1, max(2, *turns), lambda value: number(value, 0), whole=True)
            y = _UNIT if name == "gate" else _free(name, [0.0, *(point.y for point in shown)])
            charts.append(line_chart(title, lines, x, y))
    return charts


def signals(rows: Sequence[Row]) -> list[Markup]:
    """One small chart a metric of the journal that any row has."""
    names = list(dict.fromkeys(name for row in rows for name in row.signals))
    known = [name for name in SIGNALS if name in names]
    return [_signal(name, rows) for name in [*known, *(name for name in names if name not in SIGNALS)]]


def _signal(name: str, rows: Sequence[Row]) -> Markup:
    lines = []
    for index, row in enumerate(rows):
        values = _thinned([(step, value) for step, value in row.signals.get(name, ()) if _finite(value)])
        lines.append(Line(row.label, colour(index), tuple(Point(step, v, significant(v)) for step, v in values)))
    shown = [point for line in lines for point in line.points]
    if not shown:
        return Markup("")
    steps, values = [point.x for point in shown], [point.y for point in shown]
    x = Axis("step", min(steps), max(steps), lambda value: number(value, 0), whole=True)
    y = _shares(values) if name in SHARES else _UNIT if name == "gate/mean" else _free(name, values)
    return line_chart(SIGNALS.get(name, name), lines, x, y)


def _thinned(values: list[tuple[int, float]]) -> list[tuple[float, float]]:
    if len(values) <= MOST_POINTS:
        return values
    size = math.ceil(len(values) / MOST_POINTS)
    groups = [values[start : start + size] for start in range(0, len(values), size)]
    return [(group[len(group) // 2][0], math.fsum(value for _, value in group) / len(group)) for group in groups]


def _shares(highs: Sequence[float]) -> Axis:
    return Axis("percent", 0.0, share_top(highs), lambda value: f"{number(100 * value, 0)} %")


def _free(name: str, values: Sequence[float]) -> Axis:
    low, high = padded(values)
    return Axis(name, low, high, significant)


_UNIT = Axis("gate", 0.0, 1.0, significant)


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _typed(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return str(value).lower().replace("none", "null")
    return f"{value:g}" if isinstance(value, float) else str(value)
