"""A report as CSV in long form, two tables: a line for each row and measure, and a line for each pair.

frame = pandas.read_csv("report.csv").pivot(index="row", columns="measure", values="value")
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sdar_cli.compare.cells import text
from sdar_cli.compare.render.numbers import one_line
from sdar_cli.compare.report import MEASURES, Report, Row
from sdar_cli.spreadsheet import cell

FIXED = ("row", "weights", "measure", "part", "unit", "value", "low", "high", "level", "runs", "seeds", "forced")
"""Columns of ``measures``, before one for each setting in which the rows differ."""
PAIRS = (
    "first",
    "second",
    "measure",
    "part",
    "unit",
    "difference",
    "low",
    "high",
    "level",
    "p_value",
    "p_adjusted",
    "test",
    "about",
    "count",
    "effect",
    "effect_name",
    "improvement",
    "needed",
    "forced",
)


def measures(report: Report) -> str:
    """A line for each row, weights (``trained``, ``base``), measure and task type (``part``). Shares are shares, scores
    are × 100, times are seconds; ``forced`` holds the conditions that differ."""
    keys = list(dict.fromkeys(key for row in report.rows for key in row.settings))
    columns = [key if key not in FIXED else f"settings.{key}" for key in keys]
    lines = [line for row in report.rows for line in _lines(row, report, dict(zip(keys, columns, strict=True)))]
    return _written([*FIXED, *columns], lines)


def pairs(report: Report) -> str:
    """A line for each pair, measure and task type (``part``)."""
    lines = []
    for pair in report.pairs:
        interval = pair.difference
        lines.append(
            {name: getattr(pair, name) for name in PAIRS if hasattr(pair, name)}
            | {
                "unit": "score" if pair.measure == "score" else "share",
                "difference": interval.estimate,
                "low": interval.low,
                "high": interval.high,
                "level": interval.level,
                "forced": "; ".join(report.forced),
            }
        )
    return _written(PAIRS, lines)


def _lines(row: Row, report: Report, columns: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    common = {
        "row": row.label,
        "level": report.level,
        "runs": len(row.runs),
        "seeds": " ".join(map(str, row.seeds)),
        "forced": "; ".join(report.forced),
    } | {columns[key]: text(value) for key, value in row.settings.items()}
    for weights, found in (("trained", row.measures), ("base", row.base)):
        for name, one in found.items():
            unit = {"points": "share"}.get(MEASURES[name].unit, MEASURES[name].unit)
            values = {"value": one.value, "low": one.low, "high": one.high, "runs": one.count}
            yield common | {"weights": weights, "measure": name, "unit": unit} | values
    factor, unit = (100, "score") if report.metric == "score" else (1, "share")
    for part, interval in row.by_type.items():
        ends = {"value": interval.estimate, "low": interval.low, "high": interval.high}
        scaled = {name: end * factor for name, end in ends.items()}
        yield common | {"weights": "trained", "measure": report.metric, "part": part, "unit": unit} | scaled


def _written(columns: Sequence[str], lines: Sequence[Mapping[str, Any]]) -> str:
    file = io.StringIO()
    writer = csv.DictWriter(file, columns, lineterminator="\n", restval="")
    writer.writerow({name: _cell(name) for name in columns})
    writer.writerows([{name: _cell(value) for name, value in line.items()} for line in lines])
    return file.getvalue()


def _cell(value: Any) -> Any:
    """No cell holds a line's end, so that a line of the file is a line of the table, or a formula; twelve digits."""
    if isinstance(value, float):
        return f"{value:.12g}"
    return cell(one_line(value)) if isinstance(value, str) else "" if value is None else value
