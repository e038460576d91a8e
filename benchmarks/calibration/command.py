"""The command: what is computed in which mode, and where it goes."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from calibration import families, internalised, pairs, scores, seeds, shares, worlds
from calibration.table import Row, read, write

HERE = Path(__file__).resolve().parent.parent
CSV = HERE / "results" / "coverage.csv"
FIGURES = HERE.parent / "docs" / "figures"


def parts(quick: bool) -> Iterator[tuple[str, Iterator[Row]]]:
    """Every part by name, unevaluated."""
    if quick:
        tasks, counts, draws, groups = (32,), (2, 3, 10), 20_000, ((2, 2), (2, 10))
    else:
        tasks, counts, draws, groups = worlds.TASKS, worlds.SEEDS, 30_000, seeds.UNPAIRED
    yield "one share", shares.single(tasks)
    yield "two independent shares", shares.two(tasks)
    yield "two paired shares", pairs.differences(tasks)
    yield "McNemar's test", pairs.tests(tasks)
    yield "differences over paired seeds", seeds.paired(tasks, counts, draws)
    yield "unequal spreads", seeds.unequal(tasks, counts, draws)
    yield "means over seeds", seeds.means(tasks, counts, draws)
    yield "unpaired seeds", seeds.unpaired(tasks, draws, groups)
    yield "hierarchical bootstrap", seeds.hierarchical((1, 2, 3, 5, 10), 500 if quick else 4000)
    yield "families", families.families(counts, draws)
    yield "scores", scores.scores(tasks, 2000 if quick else 10_000)
    yield "internalised fraction", internalised.of_one_run(tasks, 50 if quick else 400)
    few = tuple(count for count in counts if count in (2, 3, 5, 10))
    yield "internalised fraction over seeds", internalised.over_seeds(tasks, few, 200 if quick else 1500)


def main(about: str | None) -> int:
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--tables", action="store_true")
    parser.add_argument("--csv", type=Path, help="default: benchmarks/results/coverage.csv; -quick.csv with --quick")
    parser.add_argument("--figures", type=Path, default=FIGURES, help="folder of the figures; --quick draws none")
    options = parser.parse_args()
    path = options.csv or (CSV.with_name("coverage-quick.csv") if options.quick else CSV)
    from calibration import figures, markdown

    if not options.tables:
        rows: list[Row] = []
        for name, part in parts(options.quick):
            start = time.perf_counter()
            rows += part
            print(f"{name}: {time.perf_counter() - start:.1f} s", file=sys.stderr, flush=True)
        write(rows, path)
        if options.quick:
            return 0
        figures.draw(rows, options.figures)
    print(markdown.tables(read(path)))
    return 0
