"""The whole report as Markdown: tuning, every method, every claim, what failed, where the runs came from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from statistics import median

from claims import studies
from claims.analysis import over_seeds, paired, values
from claims.markdown import NOTHING, grid, interval, points, share
from claims.methods import METHODS, merged
from claims.table import Table
from claims.verdicts import WITH, WITHOUT, claims

MINUTE = 60
"""CPU seconds that a run is meant to stay within."""


def report(table: Table) -> str:
    """Raises NotTuned where the tuning runs are not all there."""
    choice = studies.chosen(table)
    found = claims(table, choice)
    parts = ["## In short", "\n".join(f"- {verdict}" for claim in found for verdict in claim.verdicts)]
    parts += ["## Every method", grid(*methods(table, choice))]
    for claim in found:
        parts += [f"## {claim.title}", grid(claim.header, claim.rows)]
    parts += ["## Tuning", grid(*tuning(table, choice))]
    parts += ["## Runs", *origin(table)]
    return "\n\n".join(parts) + "\n"


def tuning(table: Table, choice: studies.Choice) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Header and rows: the four settings of every method, the chosen one in bold."""
    header = ("method", *(f"setting {number}" for number in range(1, 5)))
    rows = []
    for method in METHODS:
        cells = []
        for setting in method.settings:
            overrides = merged(method.fixed, setting)
            cell = f"{' '.join(setting) or 'the recipe'}: {points(studies.score(table, overrides))} %"
            cells.append(f"**{cell}**" if overrides == choice[method.label] else cell)
        rows.append((method.label, *cells))
    return header, rows


def methods(table: Table, choice: studies.Choice) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Header and rows: every method without and with skills, and its differences to GRPO, paired by seed."""
    header = (
        "method",
        "seeds",
        "without skills",
        "with skills",
        "− grpo, without",
        "seen at 80 % power",
        "− grpo, with",
        "collapsed",
        "failed",
    )
    rows = []
    for label, overrides in studies.reported(choice).items():
        seeds = studies.seeds_of(label)
        cells = [values(table, overrides, seeds, cell) for cell in (WITHOUT, WITH)]
        backbone = [values(table, choice["grpo"], seeds, cell) for cell in (WITHOUT, WITH)]
        against = [paired(own, other) for own, other in zip(cells, backbone, strict=True)]
        shown = [interval(each.difference) if label != "grpo" else NOTHING for each in against]
        ends = Counter(row.status for seed in seeds if (row := table.get(overrides, seed)) is not None)
        rows.append(
            (
                label,
                str(len(cells[0])),
                *(share(over_seeds(cell)) for cell in cells),
                shown[0],
                points(against[0].detectable) if label != "grpo" else NOTHING,
                shown[1],
                str(ends["collapsed"]),
                str(ends["failed"]),
            )
        )
    return header, rows


def origin(table: Table) -> Iterator[str]:
    """Sentences on the runs: how many, how long, from which commits, and every one that failed."""
    rows = table.rows
    bases = [row for row in rows if row.base_skills is not None and row.base_no_skills is not None]
    timed = [row for row in rows if row.status != "failed" and row.seconds is not None]
    ends = Counter(row.status for row in rows)
    yield f"{len(rows)} runs: {ends['finished']} finished, {ends['collapsed']} collapsed, {ends['failed']} failed."
    if timed:
        longest = max(timed, key=lambda row: row.cpu_seconds)
        over = sum(row.cpu_seconds > MINUTE for row in timed)
        yield (
            f"A run of 40 steps took {median(_seconds(timed, 40)):.0f} s of one core (median), the longest of all "
            f"{longest.cpu_seconds:.0f} s ({longest.label}, {longest.steps} steps); "
            f"{over} took more than {MINUTE} s. Warm-ups are not counted."
        )
    if bases:
        right = [row for row in bases if "skills.retrieval=random" not in row.overrides]
        low, high = min(row.base_skills for row in right), max(row.base_no_skills for row in bases)
        yield f"Bases: at least {100 * low:.1f} % with the right skills, at most {100 * high:.1f} % without."
    commits = Counter(row.commit for row in rows)
    yield "Commits: " + ", ".join(f"{commit} ({count} runs)" for commit, count in commits.most_common()) + "."
    for row in rows:
        if row.status == "failed":
            yield f"Failed: {row.label}, seed {row.seed}, after {row.steps} steps: {row.note}."


def _seconds(rows: list, steps: int) -> list[float]:
    return [row.cpu_seconds for row in rows if row.steps == steps] or [row.cpu_seconds for row in rows]
