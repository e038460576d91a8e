"""Several workers on one machine, each a process, under one that only waits and passes on Ctrl-C.

What they say goes to ``logs/worker-N.log`` of the study.

with Crew.start(store.folder, root, jobs=4) as crew:
    while not crew.is_over():
        ...                                  # look at store.view()
        time.sleep(0.5)
print(crew.ending)
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from sdar_cli.sweep.heartbeat import LEASE
from sdar_cli.sweep.leash import hold, leashed, passed_on
from sdar_cli.sweep.shares import gpu_of, threads_of
from sdar_cli.sweep.worker import Ending, Options, worker

TASK = "SDAR_SWEEP_WORKER"
"""Environment variable with a ``Task`` as JSON; not an argument, as a storage's URL may hold a password."""
INTERRUPTED = 130
PAUSED = 3
MOST_RESTARTS = 8
"""Workers of a crew that were killed and are started again."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a worker process is told."""

    folder: str
    """The study's."""
    root: str
    storage: str | None = None
    threads: int | None = None
    gpu: str | None = None
    lease: float = LEASE


class Crew:
    """Made by ``start``; a context manager, which leaves no worker behind."""

    def __init__(self, tasks: Sequence[Task], program: Sequence[str]) -> None:
        self._tasks = tasks
        self._program = program
        self._restarts = 0
        self._stopping = False
        self._processes = [self._spawn(place) for place in range(len(tasks))]

    @classmethod
    def start(
        cls,
        folder: Path,
        root: Path,
        jobs: int,
        *,
        storage: str | None = None,
        lease: float = LEASE,
        program: Sequence[str] | None = None,
    ) -> Self:
        """Start ``jobs`` workers, which share this machine (shares.py).

        Args:
            folder: the study's.
            root: the runs folder.
            jobs: how many workers.
            storage: URL of the study's database, where its folder does not say it.
            lease: seconds without a sign of life after which a worker counts as lost.
            program: what is run; None: this module.
        """
        threads = threads_of(jobs)
        tasks = [Task(str(folder), str(root), storage, threads, gpu_of(job), lease) for job in range(jobs)]
        return cls(tasks, program or [sys.executable, "-P", "-m", "sdar_cli.sweep.crew"])

    def is_over(self) -> bool:
        """Whether all workers have left; one that was killed is started again."""
        for place, process in enumerate(list(self._processes)):
            code = process.poll()
            if code is None:
                continue
            if code < 0 and not self._stopping and self._restarts < MOST_RESTARTS:
                self._restarts += 1
                self._processes[place] = self._spawn(place)
        return all(process.poll() is not None for process in self._processes)

    def interrupt(self) -> None:
        """Pass on what told this process to leave: runs are saved; told twice, they leave at once."""
        self._stopping = True
        for process in self._processes:
            with suppress(ProcessLookupError):
                process.send_signal(passed_on())

    @property
    def ending(self) -> Ending:
        """How the workers left, once all have."""
        codes = [process.returncode for process in self._processes]
        if self._stopping or INTERRUPTED in codes:
            return "interrupted"
        return "paused" if PAUSED in codes else "over"

    @property
    def complaints(self) -> list[str]:
        """The last words of workers that left with an error, or were killed too often."""
        fine = (None, 0, PAUSED, INTERRUPTED)
        return [
            self._last_words(place) for place, process in enumerate(self._processes) if process.returncode not in fine
        ]

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self._processes if process.poll() is None]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if any(process.poll() is None for process in self._processes):
            self.interrupt()
        for process in self._processes:
            process.wait()

    def _spawn(self, place: int) -> subprocess.Popen:
        task = json.dumps(asdict(self._tasks[place]))
        environment = os.environ | {"PYTHONUNBUFFERED": "1", TASK: task} | leashed(os.getpid())
        log = self._log(place)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            return subprocess.Popen(
                self._program,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )

    def _log(self, place: int) -> Path:
        return Path(self._tasks[place].folder) / "logs" / f"worker-{place}.log"

    def _last_words(self, place: int) -> str:
        lines = self._log(place).read_text("utf-8", "replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "it left without a word")
        return last.removeprefix("error: ")


def main() -> int:
    """A worker process of a crew."""
    hold()
    from sdar_cli.cli.errors import print_error
    from sdar_cli.errors import SdarError
    from sdar_cli.sweep.store import StudyStore

    content: dict[str, Any] = json.loads(os.environ.pop(TASK))
    task = Task(**content)
    try:
        store = StudyStore.open(task.folder, Path(task.root), task.storage, lease=task.lease)
        ending = worker(store, Options(threads=task.threads, gpu=task.gpu, say=_say))
    except KeyboardInterrupt:
        return INTERRUPTED
    except SdarError as error:
        print_error(str(error))
        return error.exit_code
    return {"over": 0, "paused": PAUSED, "interrupted": INTERRUPTED}[ending]


def _say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
