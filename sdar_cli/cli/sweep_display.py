"""A study while it runs, on standard error: a live table on a terminal, a line for each change elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sdar_cli.cli.render import duration, note
from sdar_cli.cli.streams import console
from sdar_cli.errors import without_credentials
from sdar_cli.visible import visible

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

    from sdar_cli.sweep.store import StudyStore
    from sdar_cli.sweep.view import StudyView

EVERY = 1.0
"""Least seconds between two looks at a study."""


class StudyDisplay:
    """A context manager; ``update`` it with views."""

    def __init__(self, root: Path, workers: Path | None = None) -> None:
        """
        Args:
            root: the runs folder.
            workers: where workers of this machine log; what they say from now on is shown, the ends of runs included.
        """
        self._root = root
        self._news = None if workers is None else News(workers)
        self._known: dict[str, str] | None = None
        self._over: set[int] = set()
        self._live: Live | None = None

    def __enter__(self) -> StudyDisplay:
        if sys.stderr.isatty():
            from rich.live import Live

            self._live = Live(console=console(stderr=True), auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def update(self, view: StudyView) -> None:
        for line in self._news.read() if self._news is not None else ():
            self.message(line)
        if self._live is not None:
            self._live.update(self._picture(view), refresh=True)
        else:
            self._tell(view)

    def message(self, text: str) -> None:
        if self._live is not None:
            self._live.console.print(visible(without_credentials(text)), markup=False, highlight=False)
        else:
            note(text)

    def _picture(self, view: StudyView) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        from sdar_cli.cli.sweep_table import cells_table, legend, runs_table
        from sdar_cli.sweep.playing import playing, seconds_left
        from sdar_cli.sweep.ranking import counts_in_words, ranked

        running = playing(view, self._root)
        left = seconds_left(view, running)
        eta = "" if left is None else f", about {duration(left)} left"
        head = f"{view.spec.name}: of {view.total_runs} runs {counts_in_words(view.counts)}{eta}"
        height = self._live.console.height if self._live is not None else 40
        room = max(3, height - len(running) - 8)
        parts: list[RenderableType] = [Text(visible(head), style="bold"), Text()]
        rows = ranked(view)
        parts.append(cells_table(view, rows, room))
        if len(rows) > room:
            parts.append(Text(f"and {len(rows) - room} more: sdar sweep status {view.spec.name}", style="dim"))
        parts.append(Text(visible(legend(view)), style="dim"))
        if running:
            parts += [Text(), runs_table(running)]
        return Group(*parts)

    def _tell(self, view: StudyView) -> None:
        """One line for each run that began or ended, and for each cell that is over."""
        from sdar_cli.cli.sweep_table import rate
        from sdar_cli.sweep.ranking import counts_in_words, ranked

        before = self._known
        self._known = {run.name: run.state for run in view.runs}
        over = {cell.index for cell in view.cells if cell.is_over}
        fresh, self._over = over - self._over, over
        if before is None:
            note(f"of {view.total_runs} runs {counts_in_words(view.counts)}")
            return
        for cell in view.cells:
            for run in cell.runs:
                if before.get(run.name, "waiting") == run.state:
                    continue
                if run.state == "running":
                    resumed = f" from step {run.attempts[-1].from_step}" if run.attempts[-1].from_step else ""
                    note(f"{run.name}: running{resumed} ({cell.label})")
                elif self._news is None:
                    note(f"{run.name}: {run.state}" + (f", {run.reason}" if run.reason else ""))
        for row in ranked(view) if fresh else ():
            if row.cell.index in fresh:
                result = f", {rate(row, view.spec.metric)}" if row.rate is not None else ""
                note(f"cell {row.cell.index} ({row.cell.label}): {row.cell.state}{result}")
        if self._known != before and fresh:
            note(f"of {view.total_runs} runs {counts_in_words(view.counts)}")


class News:
    """Lines that workers add to their logs in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read = {log: log.stat().st_size for log in folder.glob("worker-*.log")}

    def read(self) -> Iterator[str]:
        """Whole lines since the last time."""
        for log in sorted(self._folder.glob("worker-*.log")):
            with log.open("rb") as file:
                file.seek(self._read.get(log, 0))
                content = file.read()
            whole = content[: content.rfind(b"\n") + 1]
            self._read[log] = self._read.get(log, 0) + len(whole)
            yield from whole.decode("utf-8", "replace").splitlines()


def watch(store: StudyStore) -> None:
    """Show a study until it is over, or paused with nothing at work; Ctrl-C leaves, and the study goes on."""
    with StudyDisplay(store.root) as display:
        for view in looks(store):
            display.update(view)
            if view.is_over or (view.paused and not view.counts.get("running")):
                return


def looks(store: StudyStore) -> Iterator[StudyView]:
    """Views without end; no more than a twentieth of the time goes into them."""
    while True:
        began = time.monotonic()
        yield store.view()
        time.sleep(max(EVERY, 20 * (time.monotonic() - began)))
