"""The pool's slots spread over worker processes, for engines that are slow, crash or cannot share one.

Slot ``s`` lives in worker ``s % count`` for good. A worker that crashes, hangs, raises, answers garbage or takes too
much memory is replaced: all of its slots answer ``SlotError`` in that call, the others go on, and the next ``reset``
finds a fresh worker. Its end of the pipe is ``worker_process.py``.
"""

from __future__ import annotations

import multiprocessing.connection
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sdar_cli.errors import EnvironmentSetupError, RunFailed
from sdar_cli.rollout.backend import Operation, SlotError
from sdar_cli.rollout.worker import Locator
from sdar_cli.rollout.worker_process import START_SECONDS, NoAnswer, WorkerProcess
from sdar_envs.base import Environment, Options

START_TRIES = 3
"""Of a worker that takes the place of one that had started."""
LOOK_SECONDS = 1.0
"""Between two looks at the workers' memory."""
RECYCLE_SHARE = 0.75
"""Of the memory that a worker may take: with more it is replaced where that costs no episode."""


class Processes:
    """Slots spread over worker processes; a message to a worker that is idle, one answer back per slot.

    What is asked of a worker that is at work waits here for its turn, and goes to it in one message.

    Args:
        memory: bytes that a worker may hold; None: any.
    """

    def __init__(
        self,
        environment: type[Environment],
        options: Options,
        count: int,
        timeout: float,
        memory: int | None = None,
    ) -> None:
        """Raises EnvironmentSetupError where memory is to be watched and the system does not tell it."""
        if memory is not None and not Path("/proc/self/statm").is_file():
            raise EnvironmentSetupError(
                "environment.worker_memory needs /proc, which this system lacks: set it to null"
            )
        self._hello = (Locator.of(environment), options.model_dump_json())
        self._timeout, self._memory = timeout, memory
        self._workers: list[WorkerProcess] = []
        self._closed = False
        self._proved = False
        """Whether a worker has started."""
        self._looked = time.monotonic()
        self.slow = 0
        self._answers: dict[int, Any] = {}
        """Those that nobody has taken."""
        for _ in range(count):
            self._workers.append(self._new())

    def submit(self, operation: Operation, requests: Mapping[int, Any]) -> None:
        if self._closed:
            raise ValueError("the pool is closed")
        for slot, payload in requests.items():
            self._worker_of(slot).enqueue(operation, slot, payload)
        asked = {slot % len(self._workers) for slot in requests}
        for index in sorted(asked):
            self._await_start(index)
        for index in sorted(asked):
            self._workers[index].send_next(self._timeout)

    def take(self, seconds: float | None) -> dict[int, Any]:
        end = None if seconds is None else time.monotonic() + seconds
        while not self._answers and (busy := [worker for worker in self._workers if worker.waiting_for]):
            self._collect(busy, end)
            if end is not None and time.monotonic() >= end:
                break
        answers, self._answers = self._answers, {}
        return answers

    def drop(self) -> None:
        """Answers still under way would be taken for those of the next operation."""
        for index, worker in enumerate(self._workers):
            if worker.waiting_for or worker.queue:
                self._replace(index)
        self._answers = {}

    def recycle(self, busy: set[int], resets: int) -> None:
        occupied = {slot % len(self._workers) for slot in busy}
        for index, worker in enumerate(self._workers):
            full = self._memory is not None and worker.memory() > RECYCLE_SHARE * self._memory
            if index not in occupied and (worker.resets >= resets or full):
                self._replace(index)

    def close(self) -> None:
        self._closed = True
        for worker in self._workers:
            worker.hang_up()
        for worker in self._workers:
            worker.kill(grace=1.0)

    def _worker_of(self, slot: int) -> WorkerProcess:
        return self._workers[slot % len(self._workers)]

    def _collect(self, busy: list[WorkerProcess], end: float | None) -> None:
        first = min(worker.deadline for worker in busy)
        if self._memory is not None:
            first = min(first, self._looked + LOOK_SECONDS)
        patience = max(0.0, (first if end is None else min(first, end)) - time.monotonic())
        missed = {worker for worker in busy if worker.deadline <= time.monotonic()}  # while nobody looked
        ready = multiprocessing.connection.wait([worker.frames for worker in busy], patience)
        looked = time.monotonic()
        for worker in busy:
            late = worker.late(self._timeout)
            came = worker.frames in ready
            try:
                took = came and worker.receive(self._answers, self._timeout)
                if not took:
                    worker.check_deadline(looked, self._timeout, rest=came and worker in missed)
            except NoAnswer as error:
                self.slow += late
                self._lose(worker, error.reason)
            else:
                self.slow += took and late
                worker.send_next(self._timeout)
        self._look()

    def _look(self) -> None:
        """Kill what takes too much memory, once in a while."""
        if self._memory is None or time.monotonic() < self._looked + LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        for worker in list(self._workers):
            if worker.slots and (taken := worker.memory()) > self._memory:
                limit = f"environment.worker_memory={self._memory / 2**30:g} GiB"
                self._lose(worker, f"took {taken / 2**30:.2f} GiB of memory, above {limit}")

    def _lose(self, worker: WorkerProcess, reason: str) -> None:
        """Its episodes are over."""
        self._answers.update(dict.fromkeys(worker.slots, SlotError(reason)))
        self._replace(self._workers.index(worker))

    def _replace(self, index: int) -> None:
        self._workers[index].kill()
        self._workers[index] = self._new()

    def _new(self) -> WorkerProcess:
        for number in range(1, START_TRIES + 1):
            try:
                return WorkerProcess(self._hello)
            except OSError as error:  # no process, pipe or memory to be had, for now
                failure = error
                time.sleep(0.1 * number)
        raise RunFailed(
            f"no environment worker could be started ({failure.strerror or failure}): lower environment.workers, or "
            "free memory and processes on this machine"
        )

    def _await_start(self, index: int) -> None:
        """Wait until a worker has imported its environment. One that takes another's place and does not start is
        itself replaced, a few times.

        Raises:
            RunFailed: it does not start.
        """
        for number in range(1, START_TRIES + 1):
            worker = self._workers[index]
            try:
                worker.await_start(max(START_SECONDS, self._timeout))
            except NoAnswer as error:
                if not self._proved or number == START_TRIES:
                    times = f" in {number} tries" if number > 1 else ""
                    raise RunFailed(
                        f"an environment worker {error} while it started{times}: run `sdar doctor`"
                    ) from None
                self._workers[index] = self._new()
                self._workers[index].take_over(worker)
            else:
                self._proved = True
                return
