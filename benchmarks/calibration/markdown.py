"""The tables of docs/statistics.md, from the CSV and from the planning functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from calibration.table import Row
from sdar_cli.statistics import episodes_for, seeds_for

GAPS = (0.02, 0.05, 0.1, 0.2)
DISCORDANT = (0.1, 0.25, 0.5)
SPREADS = (0.02, 0.05, 0.1)


def tables(rows: Sequence[Row]) -> str:
    return "\n\n".join([_by_tasks(rows), _by_seeds(rows), _elsewhere(rows), _bootstrap(rows), _episodes(), _seeds()])


def _by_tasks(rows: Sequence[Row]) -> str:
    """One run each: mean (worst) by tasks."""
    shown = [
        ("Wilson", "rates 0.05 to 0.95"),
        ("Newcombe, paired", "all"),
        ("Newcombe, unpaired", "all"),
        ("t mean score", "all"),
        ("t score difference", "all"),
        ("internalised fraction", "where defined"),
        ("McNemar, exact", "all"),
        ("McNemar, mid-p", "all"),
        ("Fisher", "all"),
    ]
    tasks = sorted({row.tasks for row in rows})
    body = []
    for statistic, world in shown:
        for measure in ("coverage", "false positives"):
            cells = {r.tasks: r for r in rows if (r.statistic, r.world, r.measure) == (statistic, world, measure)}
            if cells:
                body.append([f"{statistic}: {measure}", *(_both(cells.get(n)) for n in tasks)])
    return _table(["one run each; %, mean (worst)", *(f"{n} tasks" for n in tasks)], body)


def _by_seeds(rows: Sequence[Row]) -> str:
    """t over paired seeds: coverage mean by seeds and tasks, and the most false positives."""
    found = [r for r in rows if r.statistic == "t over paired seeds"]
    tasks = sorted({row.tasks for row in found})
    body = []
    for seeds in sorted({int(row.seeds) for row in found}):
        cells = {(r.measure, r.world, r.tasks): r for r in found if r.seeds == str(seeds)}
        covered = [_percent(cells["coverage", "phi up to 0.5", n].mean) for n in tasks]
        tight = [cells["coverage", "phi 0.9", n].mean for n in tasks]
        most = [cells["false positives", "all", n].worst for n in tasks]
        uneven = [cells["false positives", "one spread 0", n].worst for n in tasks]
        spans = f"{_percent(min(tight))}–{_percent(max(tight))}"
        body.append([str(seeds), *covered, spans, _percent(max(most)), _percent(max(uneven))])
    head = ["seeds", *(f"{n} tasks" for n in tasks), "φ 0.9", "most false positives", "one method does not vary"]
    return _table(head, body)


def _elsewhere(rows: Sequence[Row]) -> str:
    """Everything else over seeds: mean and worst over all tasks."""
    groups: dict[tuple[str, str, str, str], list[Row]] = {}
    named = (
        "t mean over seeds",
        "internalised fraction, seeds",
        "t over unpaired seeds",
        "Holm over McNemar",
        "Holm over paired t",
    )
    for row in rows:
        if row.statistic in named:
            groups.setdefault((row.statistic, row.measure, row.world, row.seeds), []).append(row)
    body = []
    for (statistic, measure, world, seeds), group in sorted(groups.items(), key=lambda item: _order(item[0], named)):
        if "+" not in seeds and seeds not in ("1", "2", "3", "5", "10"):
            continue
        worst = (min if measure == "coverage" else max)(row.worst for row in group)
        mean = sum(row.mean for row in group) / len(group)
        body.append([statistic, world, seeds, measure, _percent(mean), _percent(worst)])
    return _table(["statistic", "world", "seeds", "measure", "mean", "worst"], body)


def _order(key: tuple[str, str, str, str], named: Sequence[str]) -> tuple[int, str, list[int]]:
    return named.index(key[0]), key[2], [int(part) for part in key[3].split("+")]


def _bootstrap(rows: Sequence[Row]) -> str:
    found = [row for row in rows if row.statistic == "hierarchical bootstrap"]
    return _table(
        ["seeds", *(row.seeds for row in found)],
        [["coverage of the hierarchical bootstrap, %", *(_percent(row.mean) for row in found)]],
    )


def _episodes() -> str:
    head = ["tasks needed, one run each", *(f"{100 * gap:g} points" for gap in GAPS)]
    body = [
        [f"{100 * share:g} % of the pairs differ", *(_count(episodes_for(gap, share)) for gap in GAPS if gap <= share)]
        for share in DISCORDANT
    ]
    return _table(head, [[*line, *["–"] * (len(head) - len(line))] for line in body])


def _seeds() -> str:
    head = ["seeds needed", *(f"{100 * gap:g} points" for gap in GAPS)]
    body = [
        [f"differences vary by {100 * spread:g} points", *(_count(seeds_for(gap, spread)) for gap in GAPS)]
        for spread in SPREADS
    ]
    return _table(head, body)


def _both(row: Row | None) -> str:
    return "–" if row is None else f"{_percent(row.mean)} ({_percent(row.worst)})"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _count(number: int | None) -> str:
    return "–" if number is None else f"{number:,}"


def _table(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
