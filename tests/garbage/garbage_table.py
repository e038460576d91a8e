"""The table of garbage: ``SDAR_GARBAGE=1000 python tests/garbage/garbage_table.py [--output FILE] [KIND …]``.

With a case's words (``recipe/depth/17``) it runs that case alone and shows what went in and what came out.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

ENDURED = "endured"
SLICE = 250
"""Cases that a process takes at a time."""


class Row(NamedTuple):
    verdict: str
    kind: str
    klass: str
    inputs: int
    held: int
    """Inputs with the verdict's outcome: refused with a sentence and exit code 2, or read as the plain sample is."""
    slowest: float
    faults: list[str]


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", help="names of kinds (default: all), or one kind/class/number")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--output", type=Path, help="also write the table there")
    given = parser.parse_args(words)
    import conftest  # caches, runs and threads as the suite has them
    from harness import COUNT, discover

    if any("/" in word for word in given.kinds):
        return _show(given.kinds[0])
    names = given.kinds or [*discover(), *_endured()]
    started = time.monotonic()
    with ProcessPoolExecutor(given.jobs, get_context("spawn"), _leave_folders) as pool:
        parts = [pool.submit(_rows, *task) for task in _tasks(names)]
        rows = _together([row for part in parts for row in part.result()])
    text = "\n".join(_lines(rows, COUNT))
    print(text)
    print(f"{time.monotonic() - started:.0f} s")
    if given.output is not None:
        given.output.parent.mkdir(parents=True, exist_ok=True)
        given.output.write_text(text + "\n", encoding="utf-8")
    faults = [fault for row in rows for fault in row.faults]
    print(*faults[:20], sep="\n\n", file=sys.stderr)
    conftest.pytest_sessionfinish()
    return 1 if faults else 0


def _leave_folders() -> None:
    """Processes of the pool share the session's caches, and leave their removal to the one that made them."""
    os.environ["PYTEST_XDIST_WORKER"] = f"garbage{os.getpid()}"
    import conftest  # noqa: F401


def _tasks(names: Sequence[str]) -> Iterator[tuple[str, str, int, int]]:
    from harness import VERDICTS, discover

    for name in names:
        if name in _endured():
            yield name, ENDURED, 0, 0
            continue
        kind = discover()[name]
        for verdict in VERDICTS:
            count = sum(1 for _ in kind.cases(verdict))
            yield from ((name, verdict, start, min(count, start + SLICE)) for start in range(0, count, SLICE))


def _endured() -> list[str]:
    """What comes in by other ways than files: what a model says, and what servers answer."""
    from garbage_answers import READERS
    from garbage_speech import PROTOCOLS
    from harness import discover

    spoken = [name for name in PROTOCOLS if name != "alfworld" or "alfworld" in discover()]
    return [*(f"speech, {name}, {kind}" for name in spoken for kind in ("window", "full")), *READERS]


def _endured_rows(name: str) -> list[Row]:
    from garbage_answers import cases, check_answer
    from garbage_episode import check_episode
    from garbage_speech import spoken
    from harness import COUNT

    rows: list[Row] = []

    def row(klass: str, check: Callable[[], object]) -> None:
        started = time.process_time()
        try:
            check()
            faults = []
        except Exception as error:
            faults = [f"{name}/{klass}: {error!r}"]
        rows.append(Row(ENDURED, name, klass, 1, not faults, time.process_time() - started, faults))

    if name.startswith("speech, "):
        _, protocol, kind = name.split(", ")
        told = spoken(protocol, kind, COUNT)
        for episode, klass, script in zip(told.episodes, told.classes, told.script, strict=True):
            row(klass, partial(check_episode, episode, klass, script))
    else:
        for klass, number in cases(COUNT):
            row(klass, partial(check_answer, name, klass, number))
    return _together(rows)


def _rows(name: str, verdict: Any, start: int, end: int) -> list[Row]:
    from harness import check, discover

    if verdict == ENDURED:
        return _endured_rows(name)
    rows: list[Row] = []
    for case in list(discover()[name].cases(verdict))[start:end]:
        try:
            slowest, held, faults = check(case).seconds, 1, []
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            slowest, held, faults = 0.0, 0, [str(error) or repr(error)]
        rows.append(Row(verdict, name, case.klass, 1, held, slowest, faults))
    return _together(rows)


def _together(rows: Sequence[Row]) -> list[Row]:
    found: dict[tuple[str, str, str], Row] = {}
    for row in rows:
        key = row[:3]
        if (old := found.get(key)) is not None:
            row = Row(
                *key,
                old.inputs + row.inputs,
                old.held + row.held,
                max(old.slowest, row.slowest),
                old.faults + row.faults,
            )
        found[key] = row
    return list(found.values())


def _lines(rows: Sequence[Row], count: int) -> Iterator[str]:
    titles = {
        "refused": ("Malformed", "one sentence, exit 2"),
        "accepted": ("Valid, otherwise spelt", "read alike"),
        "either": ("Blindly damaged", "a sentence or a result"),
        ENDURED: ("Said by a model, answered by a server", "no crash"),
    }
    yield f"Inputs of each kind: {count} malformed, {count} valid. Slowest: of one call, in ms of the processor."
    for verdict, (title, outcome) in titles.items():
        mine = [row for row in rows if row.verdict == verdict]
        if not mine:
            continue
        yield ""
        yield f"{title}"
        yield f"{'kind':<26} {'class':<20} {'inputs':>7} {outcome:>22} {'slowest':>8}"
        for kind in dict.fromkeys(row.kind for row in mine):
            own = [row for row in mine if row.kind == kind]
            for row in own:
                yield _line(row.kind, row.klass, [row])
            yield _line(kind, "all", own)
        yield _line("all", "all", mine)


def _line(kind: str, klass: str, rows: Sequence[Row]) -> str:
    inputs, held = sum(row.inputs for row in rows), sum(row.held for row in rows)
    return f"{kind:<26} {klass:<20} {inputs:>7} {held:>22} {1000 * max(row.slowest for row in rows):>8.0f}"


def _show(words: str) -> int:
    from harness import check, one, run

    case = one(words)
    with run(case) as outcome:
        print(f"{case} ({case.verdict}) in {outcome.folder}, exit code {outcome.code}, {outcome.seconds:.3f} s")
        print("words:", *map(repr, outcome.call.words))
        for path in sorted(outcome.folder.rglob("*")):
            if path.is_file() and not path.is_symlink() and path.stat().st_size < 1 << 20:
                print(f"{path.relative_to(outcome.folder)}: {path.read_bytes()[:2000]!r}")
        print(f"stdout: {outcome.out[:3000]!r}\nstderr: {outcome.err[:3000]!r}\nchanged: {outcome.changed}")
    check(case)
    return 0


if __name__ == "__main__":
    sys.exit(main())
