"""Evaluations as tables for a terminal: 80 columns, and nothing that only colour says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sdar_cli.evaluation.cells import Cells
from sdar_cli.evaluation.conditions import in_words
from sdar_cli.evaluation.horizon import SLICES
from sdar_cli.evaluation.report import Comparison, InternalisationReport, points
from sdar_cli.evaluation.result import Evaluation
from sdar_cli.evaluation.scores import score_of
from sdar_cli.evaluation.table_parts import MODES, cells_table, difference, escape, hundredths, percent, plain_table
from sdar_cli.statistics import Interval

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from sdar_cli.evaluation.horizon_report import HorizonSlice


def print_report(report: InternalisationReport, console: Console) -> None:
    """The four cells, the same for means and scores that say more, the internalised fraction, the costs, and the
    success by task type and by horizon."""
    first = report.trained_without
    split = f"{first.split}, " if first.split else ""
    console.print()
    console.print(cells_table("Internalisation", _success(report)))
    console.print(
        f"Solved tasks of {len(first.records)} ({first.environment}, {split}panel {first.panel[:12]}); "
        f"intervals of {100 * report.level:g} %, Wilson and paired; gap and gain in points.",
        style="dim",
        highlight=False,
    )
    _print_facts(first, console)
    if report.score is not None:
        console.print()
        console.print(cells_table("Score (× 100)", report.score, hundredths))
    for name, cells in report.means.items():
        console.print()
        console.print(cells_table(f"Success, {escape(name)}", cells))
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
    """One evaluation: success by task type and horizon, means over types, then score, turns, tokens, invalid
    actions and stop reasons."""
    summary = evaluation.summary
    table = plain_table(f"{evaluation.label}, {MODES[evaluation.mode]}", "task type", "tasks", "success")
    if len(summary.by_type) > 1:
        for name, rate in summary.by_type.items():
            table.add_row(escape(name), str(summary.episodes_by_type[name]), percent(rate))
        table.add_section()
    if len(summary.by_horizon) > 1:
        for one in SLICES:
            if one.name in summary.by_horizon:
                count, rate = summary.episodes_by_horizon[one.name], summary.by_horizon[one.name]
                table.add_row(f"expert turns {one.label}", str(count), percent(rate))
        table.add_section()
    for name, mean in summary.means.items():
        types = evaluation.means[name]
        table.add_row(escape(name), str(sum(summary.episodes_by_type[one] for one in types)), percent(mean))
    table.add_row("all", str(summary.episodes), percent(summary.success), style="bold")
    console.print()
    console.print(table)
    stops = ", ".join(f"{reason} {count}" for reason, count in summary.stops.items())
    score = score_of(evaluation)
    console.print(
        f"score {f'{summary.score:.1f}' if score is None else hundredths(score)}, {summary.turns:.1f} turns and "
        f"{summary.response_tokens:.0f} response tokens an episode, {summary.prompt_tokens_per_turn:.0f} prompt "
        f"tokens a turn, {100 * summary.invalid_action_rate:.1f} % invalid actions; ended by: {stops}; "
        f"panel {evaluation.panel[:12]}.",
        style="dim",
        highlight=False,
        markup=False,
    )
    _print_facts(evaluation, console)


def _print_facts(evaluation: Evaluation, console: Console) -> None:
    if evaluation.facts:
        text = f"{evaluation.environment}: {in_words(evaluation.facts)}."
        console.print(text, style="dim", highlight=False, markup=False)


def _success(report: InternalisationReport) -> Cells:
    return Cells.of(
        report.rows,
        lambda evaluation: evaluation.summary_at(report.level).success,
        lambda first, second: Comparison.of(first, second, report.level).difference,
    )


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
    facts.add_row("Skill bank", escape(report.bank))
    if (lost := report.flagged_in_evaluations).episodes:
        facts.add_row("Environment errors", f"{lost}, counted as not solved")
    if report.flagged is not None and report.flagged.episodes:
        facts.add_row("Those of training", f"{report.flagged}, not trained on")
    return facts


def _by_type(report: InternalisationReport) -> Table:
    columns = [f"{escape(label)}\n{mode}" for label, *_ in report.rows for mode in ("without", "with")]
    table = plain_table("Success by task type (%)", "task type", "tasks", *columns)
    first = report.trained_without.summary
    for name, count in first.episodes_by_type.items():
        cells = [f"{100 * cell.summary.by_type[name].estimate:.1f}" for row in report.rows for cell in row[1:]]
        table.add_row(escape(name), str(count), *cells)
    return table


def _by_horizon(slices: Sequence[HorizonSlice]) -> Table:
    columns = [f"{escape(label)}\n{mode}" for label, *_ in slices[0].cells for mode in ("without", "with")]
    gain = ["gain\nwithout skills"] if slices[0].gain is not None else []
    table = plain_table("Success by the turns that the expert needs (%)", "turns", "tasks", *columns, *gain)
    for one in slices:
        cells = [f"{100 * rate.estimate:.1f}" for _, *rates in one.cells for rate in rates]
        gained = [difference(one.gain)] if one.gain is not None else []
        table.add_row(one.slice.label, str(one.tasks), *cells, *gained)
    return table


def _share(fraction: Interval) -> str:
    return f"{100 * fraction.estimate:.0f} % [{100 * fraction.low:.0f}, {100 * fraction.high:.0f}]"


def _evidence(comparison: Comparison) -> str:
    text = f"{points(comparison.difference.estimate)} points, McNemar p {_p_value(comparison.p_value)}"
    if comparison.episodes_needed is not None:
        text += f"; one like it takes {comparison.episodes_needed} tasks to see"
    return text


def _p_value(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"
