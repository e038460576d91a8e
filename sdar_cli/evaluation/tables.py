"""Evaluations as tables for a terminal: 80 columns, and nothing that only colour says."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from sdar_cli.evaluation.horizon import SLICES
from sdar_cli.evaluation.report import Comparison, InternalisationReport, points
from sdar_cli.evaluation.result import Evaluation
from sdar_cli.evaluation.statistics import Interval

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from sdar_cli.evaluation.horizon_report import HorizonSlice

MODES = {"no_skills": "without skills", "skills": "with skills"}


def percent(rate: Interval) -> str:
    """``61.7 % [53.1–69.7]``."""
    return f"{100 * rate.estimate:.1f} % [{100 * rate.low:.1f}–{100 * rate.high:.1f}]"


def difference(value: Interval) -> str:
    """``+48.4 [+38.2, +57.0]``, in percentage points."""
    return f"{points(value.estimate)} [{points(value.low)}, {points(value.high)}]"


def print_report(report: InternalisationReport, console: Console) -> None:
    """The four cells, the internalised fraction, the costs, and the success by task type and by horizon."""
    first = report.trained_without
    split = f"{first.split}, " if first.split else ""
    console.print()
    console.print(_four_cells(report))
    console.print(
        f"Solved tasks of {len(first.records)} ({first.environment}, {split}panel {first.panel[:12]}); "
        f"intervals of {100 * report.level:g} %, Wilson and paired; gap and gain in points.",
        style="dim",
        highlight=False,
    )
    console.print()
    console.print(_facts(report))
    if len(first.summary.by_type) > 1:
        console.print()
        console.print(_by_type(report))
    if len(slices := report.by_horizon) > 1:
        console.print()
        console.print(_by_horizon(slices))
        if outside := len(first.records) - sum(one.tasks for one in slices):
            console.print(f"{outside} tasks, which have no expert, are in no row.", style="dim", highlight=False)


def print_evaluation(evaluation: Evaluation, console: Console) -> None:
    """One evaluation: success by task type and horizon, then turns, tokens, invalid actions and stop reasons."""
    summary = evaluation.summary
    table = _table(f"{evaluation.label}, {MODES[evaluation.mode]}", "task type", "tasks", "success")
    if len(summary.by_type) > 1:
        for name, rate in summary.by_type.items():
            table.add_row(_escape(name), str(summary.episodes_by_type[name]), percent(rate))
        table.add_section()
    if len(summary.by_horizon) > 1:
        for one in SLICES:
            if one.name in summary.by_horizon:
                count, rate = summary.episodes_by_horizon[one.name], summary.by_horizon[one.name]
                table.add_row(f"expert turns {one.label}", str(count), percent(rate))
        table.add_section()
    table.add_row("all", str(summary.episodes), percent(summary.success), style="bold")
    console.print()
    console.print(table)
    stops = ", ".join(f"{reason} {count}" for reason, count in summary.stops.items())
    console.print(
        f"score {summary.score:.1f}, {summary.turns:.1f} turns and {summary.response_tokens:.0f} response "
        f"tokens an episode, {summary.prompt_tokens_per_turn:.0f} prompt tokens a turn, "
        f"{100 * summary.invalid_action_rate:.1f} % invalid actions; ended by: {stops}; "
        f"panel {evaluation.panel[:12]}.",
        style="dim",
        highlight=False,
    )


def plain(render: Callable[[Console], None], width: int = 80) -> str:
    """What ``render`` prints on a console without colour."""
    from rich.console import Console

    text = io.StringIO()
    render(Console(file=text, width=width, color_system=None, force_terminal=False, legacy_windows=False))
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def _four_cells(report: InternalisationReport) -> Table:
    table = _table("Internalisation", "", "without skills", "with skills", "gap (with − without)")
    gaps = [report.base_gap, report.gap][-len(report.rows) :]
    for (label, without, with_skills), gap in zip(report.rows, gaps, strict=True):
        success = percent(without.summary.success), percent(with_skills.summary.success)
        table.add_row(_escape(label), *success, _difference(gap))
    if report.gain is not None:
        table.add_section()
        table.add_row("gain", _difference(report.gain), _difference(report.gain_with), "", style="bold")
    return table


def _facts(report: InternalisationReport) -> Table:
    from rich.table import Table

    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column()
    if report.gain is not None:
        fraction = report.internalised
        facts.add_row("Internalised fraction", report.why_undefined if fraction is None else _share(fraction))
        facts.add_row("Gain without skills", _evidence(report.gain))
    facts.add_row("Gap that remains", _evidence(report.gap))
    saved = report.tokens_saved
    facts.add_row(
        "Prompt tokens saved",
        f"{saved['per_turn']:.0f} a turn ({100 * saved['share_per_turn']:.0f} %), "
        f"{saved['per_episode']:.0f} an episode",
    )
    facts.add_row("Skill bank", _escape(report.bank))
    errors = sum(cell.summary.environment_errors for row in report.rows for cell in row[1:])
    if errors:
        facts.add_row("Environment errors", f"{errors} episodes, counted as not solved")
    return facts


def _by_type(report: InternalisationReport) -> Table:
    columns = [f"{_escape(label)}\n{mode}" for label, *_ in report.rows for mode in ("without", "with")]
    table = _table("Success by task type (%)", "task type", "tasks", *columns)
    first = report.trained_without.summary
    for name, count in first.episodes_by_type.items():
        cells = [f"{100 * cell.summary.by_type[name].estimate:.1f}" for row in report.rows for cell in row[1:]]
        table.add_row(_escape(name), str(count), *cells)
    return table


def _by_horizon(slices: Sequence[HorizonSlice]) -> Table:
    columns = [f"{_escape(label)}\n{mode}" for label, *_ in slices[0].cells for mode in ("without", "with")]
    gain = ["gain\nwithout skills"] if slices[0].gain is not None else []
    table = _table("Success by the turns that the expert needs (%)", "turns", "tasks", *columns, *gain)
    for one in slices:
        cells = [f"{100 * rate.estimate:.1f}" for _, *rates in one.cells for rate in rates]
        gained = [difference(one.gain)] if one.gain is not None else []
        table.add_row(one.slice.label, str(one.tasks), *cells, *gained)
    return table


def _table(title: str, first: str, *columns: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
        pad_edge=False,
    )
    table.add_column(first, overflow="fold")
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _difference(comparison: Comparison | None) -> str:
    return "" if comparison is None else difference(comparison.difference)


def _share(fraction: Interval) -> str:
    return f"{100 * fraction.estimate:.0f} % [{100 * fraction.low:.0f}, {100 * fraction.high:.0f}]"


def _evidence(comparison: Comparison) -> str:
    text = f"{points(comparison.difference.estimate)} points, McNemar p {_p_value(comparison.p_value)}"
    if comparison.episodes_needed is not None:
        text += f"; one like it takes {comparison.episodes_needed} tasks to see"
    return text


def _p_value(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)
