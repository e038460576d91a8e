"""Line charts as SVG, drawn once; ``charts.js`` reads them out under the pointer and by the arrow keys.

A chart is drawn in the pixels that it has on a wide screen, and shrinks or grows a little with the screen. Colours
are classes (``c0`` …), so that the style sheet has them for light and dark.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from sdar_cli.compare.html.axis import Scale, nice_ticks
from sdar_cli.visible import visible

LEFT, RIGHT, TOP, BOTTOM = 50, 12, 10, 40
COLOURS = 7
"""Classes ``c0`` to ``c6``; what is beyond them is grey."""
GREY = "cx"


@dataclass(frozen=True, slots=True)
class Size:
    width: int
    height: int


SMALL, WIDE = Size(370, 210), Size(550, 280)


@dataclass(frozen=True, slots=True)
class Point:
    x: float
    y: float
    text: str
    """What the read-out says."""
    low: float | None = None
    high: float | None = None
    others: tuple[float, ...] = ()
    """Single values behind the point: seeds."""


@dataclass(frozen=True, slots=True)
class Line:
    label: str
    colour: str
    """A class."""
    points: tuple[Point, ...]
    band: bool = True
    """Limits as a band behind the line; else as whiskers."""
    joined: bool = True


@dataclass(frozen=True, slots=True)
class Axis:
    label: str
    low: float
    high: float
    format: Callable[[float], str]
    log: bool = False
    ticks: tuple[float, ...] | None = None
    """None: round numbers."""
    whole: bool = False


def colour(index: int) -> str:
    """The class of a row."""
    return f"c{index}" if index < COLOURS else GREY


def wide_chart(title: str, lines: Sequence[Line], x: Axis, y: Axis, *, own_legend: bool = False) -> Markup:
    """A chart twice, of which a narrow screen shows the smaller one: its texts keep their size."""
    roomy = line_chart(title, lines, x, y, WIDE, "roomy", own_legend)
    return roomy + line_chart(title, lines, x, y, SMALL, "tight", own_legend)


def line_chart(
    title: str,
    lines: Sequence[Line],
    x: Axis,
    y: Axis,
    size: Size = SMALL,
    name: str = "",
    own_legend: bool = False,
) -> Markup:
    """A figure that can be focused; empty without a point.

    Args:
        name: a further class.
        own_legend: its lines are not the rows, whose legend stands above all charts.
    """
    lines = [line for line in lines if line.points]
    if not lines:
        return Markup("")
    across = Scale(x.low, x.high, LEFT, size.width - RIGHT, x.log)
    up = Scale(y.low, y.high, size.height - BOTTOM, TOP, y.log)
    parts = [_grid(x, y, across, up, size)]
    # Those without a colour of their own lie behind.
    for index, line in sorted(enumerate(lines), key=lambda one: one[1].colour != GREY):
        aside = 0.0 if line.band else (index - (len(lines) - 1) / 2) * min(6.0, 30 / len(lines))
        parts.append(_line(line, across, up, aside))
    spoken = f"{title}; {x.label} across, {y.label} up. Arrow keys read it out."
    return Markup(
        '<figure class="chart {}" tabindex="0" role="group" aria-label="{}" data-readout="{}">'
        '<figcaption>{}</figcaption>{}<svg viewBox="0 0 {} {}" aria-hidden="true">{}'
        '<line class="hair" y1="{}" y2="{}" visibility="hidden"/></svg></figure>'
    ).format(
        name,
        visible(spoken),
        json.dumps(_readout(lines, x, across)),
        visible(title),
        _legend(lines) if own_legend else "",
        size.width,
        size.height,
        Markup("").join(parts),
        TOP,
        size.height - BOTTOM,
    )


def _legend(lines: Sequence[Line]) -> Markup:
    if len(lines) < 2:
        return Markup("")
    items = [
        Markup('<li><i class="swatch {}"></i><span>{}</span></li>').format(line.colour, visible(line.label))
        for line in lines
    ]
    return Markup('<ul class="legend">{}</ul>').format(Markup("").join(items))


def _grid(x: Axis, y: Axis, across: Scale, up: Scale, size: Size) -> Markup:
    parts = []
    right, bottom = size.width - RIGHT, size.height - BOTTOM
    for value in y.ticks or nice_ticks(y.low, y.high, 4, whole=y.whole):
        place = up(value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{place}" y2="{place}"/>')
        parts.append(
            f'<text class="tick" x="{LEFT - 7}" y="{place + 3.5}" text-anchor="end">{_text(y.format(value))}</text>'
        )
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
    taken = -math.inf
    for value in x.ticks or nice_ticks(x.low, x.high, 5, whole=x.whole):
        place, text = across(value), x.format(value)
        parts.append(f'<line class="axis" x1="{place}" x2="{place}" y1="{bottom}" y2="{bottom + 4}"/>')
        half = 3.2 * len(text) + 3
        if place - half >= taken:
            parts.append(f'<text class="tick" x="{place}" y="{bottom + 16}" text-anchor="middle">{_text(text)}</text>')
            taken = place + half
    middle = (LEFT + right) / 2
    parts.append(f'<text class="label" x="{middle}" y="{size.height - 5}" text-anchor="middle">{_text(x.label)}</text>')
    return Markup("".join(parts))


def _line(line: Line, scale: Scale, up: Scale, aside: float) -> Markup:
    """``aside``: pixels by which lines with whiskers stand beside each other."""
    points = line.points
    parts = []

    def across(value: float) -> float:
        return round(scale(value) + aside, 2)

    limited = [point for point in points if point.low is not None and point.high is not None]
    if line.band and line.colour == GREY and len(points) > 1:
        limited = []  # the bands of many would cover all
    if line.band and len(limited) > 1:
        over = [f"{across(p.x)},{up(p.high)}" for p in limited]
        under = [f"{across(p.x)},{up(p.low)}" for p in reversed(limited)]
        parts.append(f'<path class="band" d="M{" L".join(over + under)}Z"/>')
    else:
        for point in limited:
            place = across(point.x)
            parts.append(
                f'<line class="whisker" x1="{place}" x2="{place}" y1="{up(point.low)}" y2="{up(point.high)}"/>'
            )
    for point in points:
        for number, value in enumerate(point.others):
            place = across(point.x) + (number - (len(point.others) - 1) / 2) * 3.2
            parts.append(f'<circle class="seed" cx="{place:.2f}" cy="{up(value)}" r="2"/>')
    if line.joined and len(points) > 1:
        parts.append(f'<path class="line" d="M{" L".join(f"{across(p.x)},{up(p.y)}" for p in points)}"/>')
    if len(points) <= 30:
        radius = 2.6 if line.joined and len(points) > 8 else 3.6
        parts += [f'<circle class="dot" cx="{across(p.x)}" cy="{up(p.y)}" r="{radius}"/>' for p in points]
    return Markup(f'<g class="{line.colour}">{"".join(parts)}</g>')


def _readout(lines: Sequence[Line], x: Axis, across: Scale) -> list[list]:
    """[pixel, heading, [[class, label, text], …]] for each x that has a point."""
    found: dict[float, list[list[str]]] = defaultdict(list)
    for line in lines:
        for point in line.points:
            found[point.x].append([line.colour, visible(line.label), visible(point.text)])
    return [[across(place), visible(f"{x.label} {x.format(place)}"), found[place]] for place in sorted(found)]


def _text(text: str) -> Markup:
    return escape(visible(text))
