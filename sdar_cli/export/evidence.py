"""What a run has measured of the weights that are exported, and of its base, on each panel."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdar_cli.errors import PanelError
from sdar_cli.evaluation.pairing import check_pair
from sdar_cli.evaluation.panel import Panel
from sdar_cli.evaluation.report import Comparison, InternalisationReport
from sdar_cli.evaluation.result import Evaluation, Mode
from sdar_cli.export.source import Source
from sdar_cli.statistics import Interval

LABELS = ("base", "trained")
MODES: tuple[Mode, ...] = ("no_skills", "skills")


@dataclass(frozen=True, slots=True)
class Measured:
    """Up to four cells on one panel under the same conditions."""

    own: bool
    """Whether panel and conditions are those of the training."""
    cells: Mapping[tuple[str, Mode], Evaluation]
    """By label (``base``, ``trained``) and mode; what is missing was not measured."""
    report: InternalisationReport | None
    """Where checkpoint and base, or the checkpoint alone, have both modes."""

    @property
    def first(self) -> Evaluation:
        return next(iter(self.cells.values()))


@dataclass(frozen=True, slots=True)
class Evidence:
    files: tuple[Path, ...]
    """The evaluations' files."""
    measured: tuple[Measured, ...]
    """The training's own panel first; empty where nothing was measured."""
    panel: Panel | None
    """The run's own."""

    def to_json(self) -> list[dict[str, Any]]:
        return [
            {
                "panel": one.first.panel,
                "split": one.first.split,
                "tasks": len(one.first.records),
                "own": one.own,
                "cells": {
                    f"{label}/{mode}": evaluation.summary.success.to_json()
                    for (label, mode), evaluation in one.cells.items()
                },
                "report": None if one.report is None else one.report.to_json(),
            }
            for one in self.measured
        ]


def gather_evidence(source: Source) -> Evidence:
    """Read the run's evaluations of these weights and of its base.

    Raises:
        RunError: an evaluation cannot be read.
        PanelError: the run's panel cannot.
    """
    groups: dict[str, dict[tuple[str, Mode], Path]] = defaultdict(dict)
    for name, path in source.run.evaluations().items():
        found = _named(name, source.step)
        if found is not None:
            label, mode, suffix = found
            groups[suffix][label, mode] = path
    measured, files = [], []
    for suffix, found in sorted(groups.items()):
        paths = {(label, mode): found[label, mode] for label in LABELS for mode in MODES if (label, mode) in found}
        if not any(label == source.label for label, _ in paths):
            continue
        cells = {key: Evaluation.load(path) for key, path in paths.items()}
        measured.append(Measured(not suffix, cells, _report(cells, source.label)))
        files += paths.values()
    panel = Panel.load(source.run.panel_file) if source.run.panel_file.is_file() else None
    return Evidence(tuple(files), tuple(measured), panel)


def gap(one: Measured, label: str) -> Interval | None:
    """With − without skills; None where one of them is missing."""
    return _difference(one, (label, "skills"), (label, "no_skills"))


def gain(one: Measured, mode: Mode) -> Interval | None:
    """Trained − base; None where one of them is missing, or they were not measured alike."""
    return _difference(one, ("trained", mode), ("base", mode))


def _difference(one: Measured, first: tuple[str, Mode], second: tuple[str, Mode]) -> Interval | None:
    a, b = one.cells.get(first), one.cells.get(second)
    if a is None or b is None:
        return None
    try:
        check_pair(a, b)
    except PanelError:
        return None
    return Comparison.of(a, b).difference


def _named(name: str, step: int) -> tuple[str, Mode, str] | None:
    """Label, mode and suffix of an evaluation's file name; None for other weights' and for reports."""
    found = re.fullmatch(r"(?:(base)|trained-step-(\d+))-(no_skills|skills)((?:-[0-9a-f]{8})?)", name)
    if found is None or (found[2] is not None and int(found[2]) != step):
        return None
    return found[1] or "trained", found[3], found[4]


def _report(cells: Mapping[tuple[str, Mode], Evaluation], label: str) -> InternalisationReport | None:
    own = [cells.get((label, mode)) for mode in MODES]
    base = [cells.get(("base", mode)) if label != "base" else None for mode in MODES]
    if None in own or (None in base and base != [None, None]):
        return None
    try:
        return InternalisationReport.build(*base, *own)
    except PanelError:
        return None
