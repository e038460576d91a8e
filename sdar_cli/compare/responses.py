"""Success without skills along each axis of a study, or along the keys that make the rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sdar_cli.compare.cells import UNREAD, Group, groups, label_of, same
from sdar_cli.compare.entry import Entry
from sdar_cli.compare.options import Axis, Options
from sdar_cli.compare.rates import rate, unit_values
from sdar_cli.compare.report import Response, ResponsePoint

LOG_FROM = 20.0
"""Ratio of the largest to the smallest value from which an axis of listed values is shown logarithmically."""


def responses_of(entries: Sequence[Entry], options: Options) -> tuple[Response, ...]:
    """One per axis; the values of the other axes are the label of the line that a point belongs to."""
    axes = _axes(options)
    if not axes:
        return ()
    keys = tuple(axis.key for axis in axes)
    cells = groups(entries, Options(rows=keys, study=options.study))
    found = []
    for axis in axes:
        if len({same(cell.settings[axis.key]) for cell in cells}) > 1:
            found.append(_response(axis, cells, options))
    return tuple(found)


def _axes(options: Options) -> tuple[Axis, ...]:
    if options.study is not None and options.study.axes:
        return options.study.axes
    return tuple(Axis(key) for key in options.rows) if isinstance(options.rows, tuple) else ()


def _response(axis: Axis, cells: Sequence[Group], options: Options) -> Response:
    points = []
    for cell in cells:
        interval = rate(cell.units, options.metric, None, options.level)
        values = unit_values(cell.units, options.metric)
        if interval is None or values is None or cell.settings[axis.key] == UNREAD:
            continue
        others = {key: value for key, value in cell.settings.items() if key != axis.key}
        label = label_of(others) or (f"{', '.join(others)} not read" if others else "")
        x = _as_typed(axis, cell.settings[axis.key])
        points.append(ResponsePoint(x, label, interval, tuple(values.values())))
    numbers = [point.x for point in points if isinstance(point.x, int | float) and not isinstance(point.x, bool)]
    numeric = len(numbers) == len(points)
    return Response(axis.key, _is_log(axis, numbers) if numeric else False, numeric, tuple(points))


def _as_typed(axis: Axis, value: Any) -> Any:
    return next((choice for choice in axis.choices if same(choice) == same(value)), value)


def _is_log(axis: Axis, values: Sequence[float]) -> bool:
    if axis.log is not None:
        return axis.log
    return min(values) > 0 and max(values) / min(values) >= LOG_FROM
