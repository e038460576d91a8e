"""What a row looked like while it trained: evaluations over steps, signals of the journal, and both by turn."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from sdar_cli.compare.cells import Group
from sdar_cli.compare.entry import Entry
from sdar_cli.compare.rates import mean
from sdar_cli.compare.report import CurvePoint
from sdar_cli.statistics import mean_over_seeds, wilson

SIGNALS = (
    "rollout/success",
    "rollout/turns",
    "rollout/response_tokens",
    "rollout/invalid_action_rate",
    "gap/mean",
    "gap/negative",
    "gate/mean",
    "gate/active",
    "policy/kl",
    "policy/entropy",
    "loss/total",
    "loss/distill",
)
LAST_QUARTER = 0.25
_TURN = re.compile(r"(gap|gate)/turn_(\d+)/mean")


def curve_of(group: Group, level: float) -> tuple[CurvePoint, ...]:
    """Success without skills at every step that some run of the row was evaluated at.

    Over seeds where two or more have the step (each the mean of its runs), else Wilson's of the one run.
    """
    points = []
    for step in sorted({step for entry in group.entries for step in entry.curve}):
        units = [[entry.curve[step] for entry in unit.entries if step in entry.curve] for unit in group.units]
        units = [unit for unit in units if unit]
        counts = [one for unit in units for one in unit]
        if len(units) > 1:
            shares = [mean([solved / tasks for solved, tasks in unit]) for unit in units]
            grid = 1 / min(sum(tasks for _, tasks in unit) for unit in units)
            rate = mean_over_seeds(shares, level, grid=grid)
        else:
            rate = wilson(sum(solved for solved, _ in counts), sum(tasks for _, tasks in counts), level)
        points.append(CurvePoint(step, rate, len(counts)))
    return tuple(points)


def signals_of(entries: Sequence[Entry]) -> dict[str, tuple[tuple[int, float], ...]]:
    """Metric → (step, mean over the runs that logged it at this step)."""
    found: dict[str, dict[int, list[float]]] = {}
    for entry in entries:
        for row in entry.journal:
            for name in SIGNALS:
                if math.isfinite(value := row.get(name, math.nan)):
                    found.setdefault(name, {}).setdefault(int(row["step"]), []).append(value)
    return {
        name: tuple((step, mean(found[name][step])) for step in sorted(found[name]))
        for name in SIGNALS
        if name in found
    }


def by_turn_of(entries: Sequence[Entry]) -> Mapping[str, tuple[float | None, ...]]:
    """``gap`` and ``gate`` → mean by turn index over the last quarter of each run's steps, then over the runs."""
    found: dict[str, dict[int, list[float]]] = {}
    for entry in entries:
        own: dict[tuple[str, int], list[float]] = {}
        for row in _last_quarter(entry.journal):
            for name, value in row.items():
                if (match := _TURN.fullmatch(name)) and math.isfinite(value):
                    own.setdefault((match[1], int(match[2])), []).append(value)
        for (signal, turn), values in own.items():
            found.setdefault(signal, {}).setdefault(turn, []).append(mean(values))
    return {
        signal: tuple(mean(turns[turn]) if turn in turns else None for turn in range(max(turns) + 1))
        for signal, turns in sorted(found.items())
    }


def _last_quarter(rows: Sequence[Mapping[str, float]]) -> list[Mapping[str, float]]:
    if not rows:
        return []
    first = (1 - LAST_QUARTER) * rows[-1]["step"]
    return [row for row in rows if row["step"] > first]
