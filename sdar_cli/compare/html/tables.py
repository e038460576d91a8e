"""Rows and task types as the page's template writes them: texts and positions in percent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sdar_cli.compare.html.numbers import (
    in_unit,
    interval_text,
    limits,
    measure_text,
    number,
    percent,
)
from sdar_cli.compare.html.svg import colour
from sdar_cli.compare.report import MEASURES, Measure, Report, Row, Unit

GROUPS: Mapping[str, tuple[str, ...]] = {
    "Solved": ("success", "success_skills", "gap", "gain", "internalised", "iqm", "score", "score_skills"),
    "Over training": ("final", "best", "inflation"),
    "Behaviour and cost": (
        "turns",
        "response_tokens",
        "prompt_tokens",
        "invalid",
        "seconds",
        "device_hours",
        "cost",
    ),
}
MOST_CARDS = 4


@dataclass(frozen=True, slots=True)
class Mark:
    """A dot and its whisker on a horizontal track; all in percent of the track."""

    at: float
    low: float | None
    high: float | None
    kind: str
    """A class: ``plain`` for without skills, ``skilled`` for with, ``base-plain``, ``base-skilled``."""
    text: str


@dataclass(frozen=True, slots=True)
class Track:
    label: str
    colour: str
    marks: tuple[Mark, ...]


def cards(report: Report) -> list[dict[str, Any]]:
    """The rows' key numbers; of many rows the highest few."""
    chosen = [(index, row) for index, row in enumerate(report.rows) if "success" in row.measures]
    if len(chosen) > MOST_CARDS:
        chosen = sorted(chosen, key=lambda one: -one[1].measures["success"].value)[:MOST_CARDS]
    found = []
    for index, row in chosen:
        success = row.measures["success"]
        lines = []
        for name, label in (
            ("success_skills", "with skills"),
            ("internalised", "internalised"),
            ("gain", "over the base"),
        ):
            if name in row.measures:
                unit = MEASURES[name].unit
                lines.append((label, in_unit(row.measures[name].value, unit), _limits(row.measures[name], unit)))
        found.append(
            {
                "label": row.label,
                "colour": colour(index),
                "value": number(100 * success.value),
                "limits": _limits(success, "share"),
                "lines": lines,
                "seeds": len(row.seeds),
            }
        )
    return found


def tables(report: Report) -> list[dict[str, Any]]:
    """One table a group of measures, with the columns that any row has."""
    found = []
    for title, names in GROUPS.items():
        columns = [name for name in names if any(name in row.measures for row in report.rows)]
        if columns:
            lines = [
                {
                    "label": row.label,
                    "colour": colour(index),
                    "seeds": len(row.seeds),
                    "cells": [_cell(name, row.measures.get(name)) for name in columns],
                }
                for index, row in enumerate(report.rows)
            ]
            found.append({"title": title, "columns": [MEASURES[name].label for name in columns], "lines": lines})
    return found


def _cell(name: str, measure: Measure | None) -> tuple[str, str]:
    if measure is None:
        return ("undefined" if name == "internalised" else "–", "")
    unit = MEASURES[name].unit
    return in_unit(measure.value, unit), _limits(measure, unit)


def _limits(measure: Measure, unit: Unit) -> str:
    return limits(measure.low, measure.high, unit)


def success_tracks(report: Report) -> list[Track]:
    """Success without and with skills, of the rows and of their bases, from 0 to 100 %."""
    tracks = []
    for index, row in enumerate(report.rows):
        kinds = (
            ("success", "base-plain", row.base, "base, without skills"),
            ("success_skills", "base-skilled", row.base, "base, with skills"),
            ("success_skills", "skilled", row.measures, "with skills"),
            ("success", "plain", row.measures, "without skills"),
        )
        marks = [
            Mark(
                100 * found[name].value,
                _hundred(found[name].low),
                _hundred(found[name].high),
                kind,
                f"{said}: {measure_text(found[name], 'share')}",
            )
            for name, kind, found, said in kinds
            if name in found
        ]
        tracks.append(Track(row.label, colour(index), tuple(marks)))
    return [track for track in tracks if track.marks]


def type_bars(report: Report) -> list[dict[str, Any]]:
    """For each task type a bar a row."""
    types = list(report.types) or list(dict.fromkeys(name for row in report.rows for name in row.by_type))
    found = []
    for name in types:
        bars = [
            {
                "label": row.label,
                "colour": colour(index),
                "value": percent(row.by_type[name].estimate),
                "at": 100 * row.by_type[name].estimate,
                "low": 100 * row.by_type[name].low,
                "high": 100 * row.by_type[name].high,
                "text": interval_text(row.by_type[name]),
            }
            for index, row in enumerate(report.rows)
            if name in row.by_type
        ]
        if bars:
            found.append({"name": name, "tasks": report.tasks_by_type.get(name), "bars": bars})
    return found


def paper_lines(report: Report) -> list[dict[str, Any]]:
    return [
        {
            "row": line.row,
            "model": line.model,
            "other": line.other_model,
            "method": line.method,
            "skills": "with" if line.skills else "without",
            "metric": line.metric,
            "published": percent(line.published),
            "ours": interval_text(line.ours),
            "covered": line.covered,
        }
        for line in report.paper
    ]


def settings_lines(rows: Sequence[Row]) -> list[tuple[str, list[str]]]:
    """(key, value of each row) of the settings that differ."""
    keys = list(dict.fromkeys(key for row in rows for key in row.settings))
    return [(key, [_value(row.settings[key]) if key in row.settings else "–" for row in rows]) for key in keys]


def _value(value: Any) -> str:
    """As a recipe writes it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def _hundred(value: float | None) -> float | None:
    return None if value is None else 100 * value
