"""The WebShop store at size: import, open and search times, and the memory that they take.

    python benchmarks/webshop_search.py [--size 50000] [--queries 500] [--words 0]

A generated catalogue is written as JSON, imported in a process of its own, and searched with the instructions of
its goals. Memory is the process's peak. The official catalogue has 1.18 M products with longer texts of many more
words: ``--size 1180000 --words 100`` stands for it, each description going on with that many invented words, of
which few are frequent and most are rare (Zipf's law over two million).
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from statistics import quantiles

import numpy as np

from sdar_envs.webshop.catalogue_files import write_files
from sdar_envs.webshop.catalogue_items import Catalogue
from sdar_envs.webshop.goals import Goal
from sdar_envs.webshop.json_files import PRODUCTS
from sdar_envs.webshop.store import Store

INVENTED = 2_000_000
"""Words that ``--words`` draws from."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=50_000)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--words", type=int, default=0, help="invented words that each description goes on with")
    parser.add_argument("--import-only", nargs=2, metavar=("SOURCE", "STORE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.import_only:
        print(json.dumps(import_one(*map(Path, arguments.import_only))))
        return
    with tempfile.TemporaryDirectory() as scratch:
        source, store = Path(scratch) / "source", Path(scratch) / "store"
        source.mkdir()
        write_files(Catalogue(arguments.size, 0), source)
        if arguments.words:
            lengthen(source / f"{PRODUCTS}.json", arguments.words)
        imported = in_own_process(source, store)
        size = sum(file.stat().st_size for file in source.iterdir())
        row("JSON", f"{size / 2**20:,.0f} MiB, {arguments.size:,} products")
        row("import: read", f"{imported['read']:.1f} CPU seconds")
        row("import: index and check", f"{imported['index']:.1f} CPU seconds")
        row("import: peak memory", f"{imported['peak']:,.0f} MiB, {imported['before']:,.0f} of them before it")
        row("store", f"{sum(file.stat().st_size for file in store.rglob('*') if file.is_file()) / 2**20:,.0f} MiB")
        search(store, arguments.queries)


def row(what: str, figure: str) -> None:
    print(f"{what:<26} {figure}", flush=True)


def peak() -> float:
    """MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def lengthen(file: Path, count: int) -> None:
    """Add ``count`` invented words to each description."""
    longer = file.with_suffix(".longer")
    with file.open(encoding="utf-8") as lines, longer.open("w", encoding="utf-8") as out:
        for line, more in zip(lines, invented(count), strict=False):
            if line.startswith("{"):
                record = json.loads(line.rstrip(",\n"))
                record["full_description"] += f" {more}"
                line = json.dumps(record) + line[len(line.rstrip(",\n")) :]
            out.write(line)
    longer.replace(file)


def invented(count: int) -> Iterator[str]:
    """Texts of ``count`` words; the n-th most frequent word is drawn with a probability near 1 / n."""
    draw = np.random.default_rng(0)
    letters = "bcdfghjklmnprstvwz"
    syllables = [first + second for first in letters for second in "aeiou"]
    while True:
        for ranks in np.exp(draw.uniform(0, np.log(INVENTED), (1000, count))).astype(np.int64):
            yield " ".join("".join(syllables[rank // 90**place % 90] for place in range(4)) for rank in ranks.tolist())


def in_own_process(source: Path, store: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--import-only", str(source), str(store)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def import_one(source: Path, store: Path) -> dict[str, float]:
    """CPU seconds and MiB of an import in this process."""
    import ijson  # noqa: F401 (loaded before memory is read)
    import Stemmer  # noqa: F401

    from sdar_envs.webshop.importing import import_store

    before, began, read = peak(), time.process_time(), [0.0]

    def reading(done: int, total: int) -> None:
        read[0] = time.process_time() - began

    import_store(source, store, reading)
    return {"read": read[0], "index": time.process_time() - began - read[0], "before": before, "peak": peak()}


def search(folder: Path, queries: int) -> None:
    began = time.perf_counter()
    store = Store.open(folder)
    row("open", f"{(time.perf_counter() - began) * 1e3:.1f} ms")
    goals = store.goals()
    drawn = [goals[Random(number).randrange(len(goals))] for number in range(queries)]
    for what, texts in (
        ("the whole instruction", [goal.instruction for goal in drawn]),
        ("without options and price", [store.product(goal.asin).instruction for goal in drawn]),
    ):
        row(what, timed(store, drawn, texts))
    row("search: peak memory", f"{peak():,.0f} MiB")


def timed(store: Store, goals: Sequence[Goal], texts: Sequence[str]) -> str:
    """Wall and CPU times, as a busy machine lengthens the one and not the other; and where the product stood."""
    wall, cpu, first_page = [], [], 0
    for goal, text in zip(goals, texts, strict=True):
        began, worked = time.perf_counter(), time.thread_time()
        found = store.search(text)
        cpu.append((time.thread_time() - worked) * 1e3)
        wall.append((time.perf_counter() - began) * 1e3)
        first_page += goal.asin in found[:10]
    cuts, worked_cuts = quantiles(wall, n=20), quantiles(cpu, n=20)
    return (
        f"p50 {cuts[9]:.2f} ms, p95 {cuts[18]:.2f} ms (CPU {worked_cuts[9]:.2f}, {worked_cuts[18]:.2f}); "
        f"the goal's product is on the first page in {first_page / len(goals):.1%}"
    )


if __name__ == "__main__":
    main()
