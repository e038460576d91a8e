"""One attempt at one run: an ordinary ``sdar train`` or ``sdar resume`` as a process, watched until it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sdar_cli.stop import SIGNALS
from sdar_cli.sweep.leash import leashed, passed_on
from sdar_cli.sweep.processes import RUN, end_orphans
from sdar_cli.sweep.results import failure, folder_state, is_busy, one_line, read_result, trains

Order = Literal["interrupted", "paused", "pruned", "taken"]
"""Why a run is to end early; ``taken``: it belongs to another worker now."""
TOLD = "told"
"""Of an attempt's result: the signal by which somebody else than its worker told the training to leave."""


@dataclass(frozen=True, slots=True)
class Job:
    name: str
    folder: Path
    """The run's."""
    log: Path
    write_recipe: Callable[[], Path]
    """Writes what is to be trained, and says where it is; may raise SdarError."""


Command = Callable[[Job, Path | None], Sequence[str]]
"""What plays a run: anew with a recipe, or from its checkpoint (None)."""


def sdar_command(job: Job, recipe: Path | None) -> list[str]:
    # -P: a file of the working directory must not stand in for a library.
    words = [sys.executable, "-P", "-m", "sdar_cli.cli.main"]
    runs = ["--runs", str(job.folder.parent), "--nproc", "1"]  # a run is one process, whatever GPUs are visible
    if recipe is None:
        return [*words, "resume", str(job.folder), *runs]
    return [*words, "train", "--recipe", str(recipe), "--name", job.name, *runs]


@dataclass(frozen=True, slots=True)
class Outcome:
    end: Literal["done", "failed", "lost", "stopped", "pruned", "taken"]
    reason: str | None = None
    result: dict[str, Any] = field(default_factory=dict)
    """Of a run that is done; or ``TOLD``."""


_STOPPED: Mapping[Order, Outcome] = {
    "interrupted": Outcome("stopped", "its worker was interrupted"),
    "paused": Outcome("stopped", "the study was paused"),
    "pruned": Outcome("pruned", "its cell was pruned"),
    "taken": Outcome("taken"),
}


@dataclass(frozen=True, slots=True)
class Runner:
    command: Command
    environment: Mapping[str, str]
    """Beside this process's own."""
    orders: Callable[[], Order | None]
    """Asked every ``poll`` seconds."""
    interrupts: Callable[[], int]
    """How many times this process was asked to leave, up to now."""
    poll: float = 1.0
    patience: float = 120.0
    """Seconds that trainings of workers that are gone have to save and leave."""
    directory: Path | None = None
    """Where the training runs; paths of its recipe are relative to it."""

    def play(self, job: Job) -> Outcome:
        """Take the run to its end, or as far as orders allow. Call it from the main thread (leash.py)."""
        if (order := self._wait_for_others(job)) is not None:
            return _STOPPED[order]
        recipe = job.write_recipe()
        state = folder_state(job.folder)
        if state == "damaged":
            file = job.folder / "run.json"
            what = f"{file} is damaged" if file.exists() else f"{job.folder} has no run.json"
            return Outcome("failed", f"{what}: restore it, or move the folder away")
        if state in ("over", "open") and not trains(job.folder, recipe):
            # Left by an earlier study of this name, say.
            return Outcome("failed", f"{job.folder} holds a run of other settings: remove it, or move it away")
        if state == "over":
            return _over(job)
        return self._train(job, self.command(job, None if state == "open" else recipe))

    def _wait_for_others(self, job: Job) -> Order | None:
        """Until nobody works on the folder: trainings left behind are ended at last, a person's own never."""
        orders: list[Order] = []

        def ordered() -> bool:
            if not orders and (order := self._order()) is not None:
                orders.append(order)
            return bool(orders)

        if not end_orphans(job.folder, self.patience, ordered):
            return orders[0]
        while is_busy(job.folder):
            if ordered():
                return orders[0]
            time.sleep(min(self.poll, 0.2))
        return None

    def _order(self) -> Order | None:
        return "interrupted" if self.interrupts() else self.orders()

    def _train(self, job: Job, command: Sequence[str]) -> Outcome:
        environment = os.environ | {"PYTHONUNBUFFERED": "1", **self.environment}
        environment |= leashed(os.getpid()) | {RUN: str(job.folder)}
        job.log.parent.mkdir(parents=True, exist_ok=True)
        with job.log.open("ab") as log:
            try:
                # A session of its own: a terminal's Ctrl-C reaches the worker alone, which passes it on once.
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    cwd=self.directory if self.directory is not None and self.directory.is_dir() else None,
                    start_new_session=True,
                )
            except OSError as error:
                return Outcome("failed", f"{command[0]} cannot be started ({error.strerror}): install sdar here")
        try:
            order = self._watch(process)
        except BaseException:
            _kill(process)
            raise
        return _ended(job, process.returncode, order)

    def _watch(self, process: subprocess.Popen) -> Order | None:
        """Wait for the process; returns the order by which it was ended, if any."""
        order: Order | None = None
        sent = 0
        asked = time.monotonic()
        while True:
            with suppress(subprocess.TimeoutExpired):
                process.wait(min(self.poll, 0.1))
                if order is None and process.returncode - 128 in SIGNALS and self.interrupts():
                    return "interrupted"  # both were told at once
                return order
            if order is None and self.interrupts():
                order = "interrupted"
            if time.monotonic() - asked >= self.poll:
                asked = time.monotonic()
                now = self.orders()
                order = now if order is None or now == "taken" else order
            if order == "taken":
                _kill(process)
            elif order is not None and sent < max(1, self.interrupts()):
                # It saves; asked again, it leaves at once.
                sent += 1
                process.send_signal(passed_on() if order == "interrupted" else signal.SIGTERM)


def _kill(process: subprocess.Popen) -> None:
    """End a training at once, with whatever it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _over(job: Job) -> Outcome:
    result = read_result(job.folder)
    if result is None:
        missing = job.folder / "evaluations" / "report.json"
        return Outcome("failed", f"the run is over, but {missing} is missing or damaged: remove the run's folder")
    return Outcome("done", result=result)


def _ended(job: Job, code: int, order: Order | None) -> Outcome:
    if order == "taken":
        return _STOPPED[order]
    if folder_state(job.folder) == "over":
        return _over(job)
    if order is not None:
        return _STOPPED[order]
    if code - 128 in SIGNALS and folder_state(job.folder) == "open":
        reason = f"its training was told to leave ({signal.Signals(code - 128).name}), and saved"
        return Outcome("stopped", reason, {TOLD: code - 128})
    if code < 0 or code >= 128:
        number = -code if code < 0 else code - 128
        name = signal.Signals(number).name if number in {int(one) for one in signal.Signals} else f"signal {number}"
        return Outcome("lost", f"its training was ended from outside ({name}), at a lack of memory for example")
    if code == 0:
        return Outcome("failed", one_line(f"its training left without finishing: see {job.log}"))
    return Outcome("failed", failure(job.folder, job.log))
