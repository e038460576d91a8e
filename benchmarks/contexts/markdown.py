"""The tables of docs/contexts.md, from the committed figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from marked import table

from contexts.quality import Runs, difference, mean
from sdar_cli.statistics import Interval

CELLS = {
    "base_no_skills": "base, without skills",
    "base_skills": "base, with skills",
    "trained_no_skills": "trained, without skills",
    "trained_skills": "trained, with skills",
}


def tables(figures: Mapping, runs: Runs) -> str:
    parts = [f"### Tokens of an episode\n\nMachine of all figures but the last table's: {figures['machine']}."]
    parts += [_tokens(world, rows) for world, rows in figures["tokens"].items()]
    parts += [f"### Time of a step\n\n{_time(figures['time'])}\n\nMedians of {figures['repeats']} repetitions."]
    parts += [f"### Success\n\n{quality(runs)}"]
    return "\n\n".join(parts)


def _tokens(world: str, rows: Sequence[Mapping]) -> str:
    head = [
        f"{world}, window : full",
        *("read", "read but not found in the cache", "generated", "trained on", "read by the teacher", "longest row"),
    ]
    return table(head, [[f"{row['turns']} turns", *_costs(row)] for row in rows])


def _costs(row: Mapping) -> list[str]:
    window, full = row["window"], row["full"]
    pairs = [(window["read"], full["read"]), (window["read"] - window["cached"], full["read"] - full["cached"])]
    pairs += [(window[key], full[key]) for key in ("generated", "trained", "teacher", "longest")]
    return [f"{a:,.0f} : {b:,.0f}" if round(a) != round(b) else f"{a:,.0f}" for a, b in pairs]


def _time(rows: Sequence[Mapping]) -> str:
    body = []
    for row in rows:
        cells = [row["ratios"][phase] for phase in ("generation", "training", "step")]
        spreads = [f"{cell['median']:.2f} ({cell['q1']:.2f} to {cell['q3']:.2f})" for cell in cells]
        seconds = f"{row['window']['step']['median']:.2f} : {row['full']['step']['median']:.2f}"
        body.append([f"{row['turns']} turns", *spreads, seconds])
    head = ["full over window, CPU time", "generation", "scoring and training", "both", "seconds a step, window : full"]
    return table(head, body)


def quality(runs: Runs) -> str:
    seeds = list(runs["window"])
    by_seed = table(
        ["seed: window, full", *CELLS.values()],
        [
            [
                str(seed),
                *(f"{_percent(runs['window'][seed][cell])}, {_percent(runs['full'][seed][cell])}" for cell in CELLS),
            ]
            for seed in seeds
        ],
    )
    if len(seeds) < 2:
        return by_seed
    overall = table(
        [f"mean over {len(seeds)} seeds, 95 %", *CELLS.values()],
        [[kind, *(_share(mean(runs, kind, cell)) for cell in CELLS)] for kind in ("window", "full")]
        + [["full − window, points", *(_points(difference(runs, cell)) for cell in CELLS)]],
    )
    return f"{by_seed}\n\n{overall}"


def _percent(share: str) -> str:
    return f"{100 * float(share):.1f}"


def _share(value: Interval) -> str:
    return f"{100 * value.estimate:.1f} % [{100 * value.low:.1f}, {100 * value.high:.1f}]"


def _points(value: Interval) -> str:
    text = f"{100 * value.estimate:+.1f} [{100 * value.low:+.1f}, {100 * value.high:+.1f}]"
    return text.replace("-", "−")
