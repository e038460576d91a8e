"""From runs to a report: conditions checked, rows made, measured and tested."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sdar_cli.compare.cells import Group, groups, pooled
from sdar_cli.compare.check import conditions
from sdar_cli.compare.curves import by_turn_of, curve_of, signals_of
from sdar_cli.compare.entry import Entry
from sdar_cli.compare.measures import base_of, measures_of
from sdar_cli.compare.options import Options
from sdar_cli.compare.pairs import notes_on, pairs_of, tested
from sdar_cli.compare.paper import beside_paper
from sdar_cli.compare.rates import rate
from sdar_cli.compare.report import Report, Row
from sdar_cli.compare.responses import responses_of
from sdar_cli.errors import RunError, UserError
from sdar_cli.evaluation.scores import graded
from sdar_cli.runs.state import RunStatus

NAMED = 5
"""Runs that a note names; further ones are counted."""


def build(entries: Sequence[Entry], options: Options) -> Report:
    """Compare runs.

    Raises:
        RunError: no run is left that can be compared, or two runs of a cell have the same seed.
        PanelError: they were evaluated under different conditions, and ``options.force`` is off.
        UserError: a key, a baseline or a model that does not exist.
    """
    usable, notes = _usable(entries)
    forced = conditions(usable, force=options.force)
    rows = groups(usable, options)
    first = usable[0].no_skills
    scored = graded(record for entry in usable for record in entry.no_skills.records)
    if options.metric == "score" and not scored:
        raise UserError("--metric score says no more than success in these runs: leave it out")
    counts = Counter(record.task_type for record in first.records)
    types = tuple(sorted(counts))
    found = tested(rows, types, options, graded=scored)
    paper, about_paper = beside_paper(rows, options) if options.paper or options.paper_model else ((), ())
    notes = [*notes, *_unstarted(options), *_about_rows(rows, usable), *notes_on(found, len(rows)), *about_paper]
    return Report(
        title=options.title or _title(rows, options),
        environment=first.environment,
        split=first.split,
        panel=first.panel,
        tasks=len(first.records),
        sampling=dict(first.sampling),
        bank=None if first.bank is None else f"{first.bank} {(first.bank_digest or '')[:12]}".rstrip(),
        level=options.level,
        by=_by(rows, options),
        types=types,
        rows=tuple(_row(group, types, options, scored) for group in rows),
        pairs=pairs_of(found),
        notes=tuple(dict.fromkeys(notes)),
        forced=forced,
        responses=responses_of(usable, options),
        paper=paper,
        study=options.study.name if options.study else None,
        metric=options.metric,
        tasks_by_type=dict(sorted(counts.items())),
        last=options.last,
    )


def _usable(entries: Sequence[Entry]) -> tuple[list[Entry], list[str]]:
    """The runs that can be compared, and a sentence on those that cannot, by reason."""
    usable, reasons = [], {}
    for entry in entries:
        if (why := entry.why_not) is None:
            usable.append(entry)
        else:
            reasons.setdefault(why, []).append(entry.name)
    notes = [f"Left out, {why}: {_names(names)}." for why, names in reasons.items()]
    if not usable:
        what = "; ".join(f"{_names(names)}: {why}" for why, names in reasons.items()) or "none was given"
        raise RunError(f"no run is left to compare ({what}): finish one with `sdar resume`, or name others")
    return usable, notes


def _unstarted(options: Options) -> list[str]:
    if options.study is None or not options.study.missing:
        return []
    return [f"Of the study {options.study.name}, {options.study.missing} runs were not started."]


def _row(group: Group, types: Sequence[str], options: Options, scored: bool) -> Row:
    by_type = {name: rate(group.units, options.metric, name, options.level) for name in types}
    return Row(
        label=group.label,
        runs=tuple(entry.name for entry in group.entries),
        seeds=group.seeds,
        settings=dict(group.settings),
        measures=measures_of(group.units, graded=scored, level=options.level, last=options.last, price=options.price),
        base=base_of(group.units, options.level),
        by_type={name: one for name, one in by_type.items() if one is not None},
        curve=curve_of(group, options.level),
        signals=signals_of(group.entries),
        by_turn=by_turn_of(group.entries),
    )


def _about_rows(rows: Sequence[Group], usable: Sequence[Entry]) -> list[str]:
    notes = []
    collapsed = [entry.name for entry in usable if entry.state.status is RunStatus.COLLAPSED]
    if collapsed:
        notes.append(f"Ended early, as they collapsed, and counted as they ended: {_names(collapsed)}.")
    if keys := list(dict.fromkeys(key for group in rows for key in pooled(group))):
        notes.append(f"A seed's value is the mean over its runs, which differ in {', '.join(keys)}.")
        inside = {tuple(sorted(len(unit.entries) for unit in group.units)) for group in rows}
        if len({size for sizes in inside for size in sizes}) > 1:
            notes.append("Not every seed of every row has the same number of runs: the rows are not balanced.")
    commits = {entry.state.git_commit for entry in usable} - {None}
    if len(commits) > 1:
        notes.append(f"The runs were made with {len(commits)} versions of the code.")
    return notes


def _title(rows: Sequence[Group], options: Options) -> str:
    if options.study is not None:
        return f"Study {options.study.name}"
    labels = [group.label for group in rows]
    return " and ".join(labels) if len(labels) <= 2 else f"{len(labels)} rows"


def _by(rows: Sequence[Group], options: Options) -> tuple[str, ...]:
    if options.rows == "run":
        return ()
    return tuple(rows[0].settings) if options.rows == "cell" else options.rows


def _names(names: Sequence[str]) -> str:
    further = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {further} more" if further > 0 else "")
