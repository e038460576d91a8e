"""A study's workers on this machine, under a display, to the table at the end."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from sdar_cli.cli.render import note
from sdar_cli.cli.sweep_display import EVERY, StudyDisplay
from sdar_cli.cli.sweep_results import print_status
from sdar_cli.errors import RunFailed
from sdar_cli.stop import SIGNALS, STOP
from sdar_cli.tracking.location import runs_option

if TYPE_CHECKING:
    from sdar_cli.sweep.crew import Crew
    from sdar_cli.sweep.store import StudyStore


def run_here(store: StudyStore, jobs: int, *, storage: str | None, as_json: bool) -> None:
    """Work on a study with so many runs at a time; prints its table when it is over.

    Raises:
        RunFailed: runs failed, or the workers did.
        typer.Exit: 130, when the study was interrupted or paused before its end; 143 or 138 by SIGTERM or SIGUSR1.
    """
    from sdar_cli.sweep.closing import is_published

    view = store.view()
    ending = None if view.is_over and is_published(view, store.folder) else _work(store, jobs, storage)
    if ending is not None:
        view = store.view()
    print_status(view, store.root, as_json=as_json)
    sys.stdout.flush()
    where = f"{store.spec.name}{runs_option(store.root)}"
    if view.is_over:
        if failed := view.counts.get("failed"):
            runs = "1 run" if failed == 1 else f"{failed} runs"
            raise RunFailed(f"{runs} failed: see the table, and run them again with `sdar sweep retry-failed {where}`")
        return
    if ending in ("interrupted", "paused"):
        note(f"the study is {ending}: go on with `sdar sweep resume {where}`")
        raise typer.Exit(STOP.code)
    raise RunFailed(f"the workers left before the study was over ({ending}): go on with `sdar sweep resume {where}`")


def _work(store: StudyStore, jobs: int, storage: str | None) -> str:
    """Workers of this machine, until all have left: ``over``, ``interrupted``, ``paused``, or what they complain of."""
    from sdar_cli.sweep.crew import Crew

    jobs = max(1, min(jobs, _to_do(store)))
    with StudyDisplay(store.root, workers=store.folder / "logs") as display, _asked_to_leave() as asked:
        with Crew.start(store.folder, store.root, jobs, storage=storage) as crew:
            _follow(store, crew, display, asked)
        display.update(store.view())
    if crew.ending == "over":
        return "; ".join(dict.fromkeys(crew.complaints)) or "over"
    return crew.ending


def _to_do(store: StudyStore) -> int:
    """Runs that are not over, those of cells included that were not drawn yet."""
    counts = store.view().counts
    return sum(number for state, number in counts.items() if state not in ("done", "failed", "pruned"))


def _follow(store: StudyStore, crew: Crew, display: StudyDisplay, asked: list[int]) -> None:
    """Show the study until its workers have left; Ctrl-C goes on to them."""
    passed_on = 0
    due = 0.0
    while not crew.is_over():
        if len(asked) > passed_on:
            passed_on += 1
            crew.interrupt()
            if passed_on == 1:
                display.message("stopping: what runs is saved first; Ctrl-C again leaves at once")
        if time.monotonic() >= due:
            began = time.monotonic()
            display.update(store.view())
            due = began + max(EVERY, 20 * (time.monotonic() - began))
        time.sleep(0.1)


@contextmanager
def _asked_to_leave() -> Iterator[list[int]]:
    """Gathers the signals that ask this process to leave, instead of leaving at once."""
    asked: list[int] = []

    def note(number: int, frame: object) -> None:
        STOP.hear(number)
        asked.append(number)

    before = {number: signal.signal(number, note) for number in (*SIGNALS, signal.SIGHUP)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
