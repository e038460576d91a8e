"""Progress on standard error: a live bar on a terminal, one line now and then elsewhere."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from sdar_cli.cli import render
from sdar_cli.cli.render import duration
from sdar_cli.cli.streams import console
from sdar_cli.errors import without_credentials
from sdar_cli.paths import is_folder
from sdar_cli.training.events import Listener
from sdar_cli.visible import visible

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from sdar_cli.evaluation.result import Evaluation
    from sdar_cli.recipe.schema import Recipe
    from sdar_cli.rollout.episode import Episode


QUIET_SECONDS = 10.0
"""Least time between two progress lines where there is no terminal."""
SHOWN = {
    "rollout/success": "success",
    "gap/mean": "gap",
    "gate/active": "gate active",
    "policy/kl": "kl",
    "rollout/invalid_action_rate": "invalid",
}
"""Metrics of a step that are worth a word in the progress line."""


def may_download(recipe: Recipe) -> bool:
    """Whether the recipe's model is an id on the hub rather than a folder."""
    return recipe.model.path is not None and not is_folder(recipe.model.path)


class Display(Listener):
    """A context manager. Inside, whatever libraries print to standard output goes to standard error."""

    def __init__(self, *, downloads: bool = False) -> None:
        """``downloads``: weights may come from the hub, whose own progress bars are then left on."""
        if not downloads:
            os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # where it is installed, PEFT imports it
        self._live = sys.stderr.isatty()
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._phase = ""
        self._redirection = redirect_stdout(sys.stderr)
        self._since = self._spoke = time.monotonic()

    def __enter__(self) -> Self:
        self._redirection.__enter__()
        if self._live:
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            self._progress = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}", markup=False),
                console=console(stderr=True),
            )
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._finish_phase()
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
        self._redirection.__exit__(kind, error, trace)

    def phase(self, name: str, total: int | None = None) -> None:
        self._finish_phase()
        name = visible(name)
        self._phase, self._since = name, time.monotonic()
        if self._progress is not None:
            self._task = self._progress.add_task(name, total=total, note="")
        else:
            self.message(name if total is None else f"{name} ({total})")

    def advance(self, done: int, total: int, note: str = "") -> None:
        if self._progress is not None:
            if self._task is None:
                self._task = self._progress.add_task(self._phase, total=total, note="")
            self._progress.update(self._task, completed=done, total=total, note=visible(note))
        elif time.monotonic() - self._spoke >= QUIET_SECONDS or done == total:
            self.message(f"{self._phase} {done}/{total} {note}".rstrip())

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        words = ", ".join(f"{word} {values[name]:.3g}" for name, word in SHOWN.items() if name in values)
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=step, note=words)
        elif self._progress is None and time.monotonic() - self._spoke >= QUIET_SECONDS:
            self.message(f"step {step}: {words}")

    def evaluation(self, evaluation: Evaluation, episodes: Sequence[Episode]) -> None:
        summary = evaluation.summary
        where = "with skills" if evaluation.mode == "skills" else "without skills"
        step = "" if evaluation.step is None else f" at step {evaluation.step}"
        solved = f"{summary.success.estimate:.1%} of {summary.episodes} tasks solved"
        self.message(f"{evaluation.label}{step}, {where}: {solved}")

    def checkpoint(self, step: int, folder: Path) -> None:
        if self._progress is None:
            self.message(f"checkpoint of step {step} saved")

    def message(self, text: str) -> None:
        self._spoke = time.monotonic()
        if self._progress is not None:
            self._progress.console.print(visible(without_credentials(text)), markup=False, highlight=False)
        else:
            render.note(text)

    def _finish_phase(self) -> None:
        if self._progress is not None and self._task is not None:
            self._progress.remove_task(self._task)
            self.message(f"{self._phase}: {duration(time.monotonic() - self._since)}")
        self._task = None
