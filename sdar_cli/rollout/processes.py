"""The pool's slots spread over worker processes, for engines that are slow, crash or cannot share one.

Slot ``s`` lives in worker ``s % count`` for good. A worker that crashes, hangs or raises is replaced: all of
its slots answer ``SlotError`` in that call, the others go on, and the next ``reset`` finds a fresh worker.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import multiprocessing.connection
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

from sdar_cli.errors import EnvironmentSetupError, RunFailed
from sdar_cli.rollout.backend import SlotError
from sdar_cli.rollout.worker import Answer, Failure, Locator, Operation, Started
from sdar_envs.base import Environment, Options

START_SECONDS = 120.0
"""Least time that a worker has to import its environment."""


class Processes:
    """Slots spread over worker processes; a message to a worker that is idle, one answer back per slot.

    What is asked of a worker that is at work waits here for its turn, and goes to it in one message.
    """

    def __init__(self, environment: type[Environment], options: Options, count: int, timeout: float) -> None:
        self._hello = (Locator.of(environment), options.model_dump_json())
        self._timeout = timeout
        self._workers: list[_Worker] = []
        self._closed = False
        self._workers = [_Worker(self._hello) for _ in range(count)]
        self._answers: dict[int, Any] = {}
        """Those that nobody has taken."""

    def submit(self, operation: Operation, requests: Mapping[int, Any]) -> None:
        if self._closed:
            raise ValueError("the pool is closed")
        asked = [self._workers[slot % len(self._workers)] for slot in requests]
        for worker, (slot, payload) in zip(asked, requests.items(), strict=True):
            worker.enqueue(operation, slot, payload)
        for worker in asked:
            worker.await_start(max(START_SECONDS, self._timeout))
        for worker in asked:
            worker.send_next(self._timeout)

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

    def _collect(self, busy: list[_Worker], end: float | None) -> None:
        first = min(worker.deadline for worker in busy)
        patience = max(0.0, (first if end is None else min(first, end)) - time.monotonic())
        ready = multiprocessing.connection.wait([worker.connection for worker in busy], patience)
        for worker in busy:
            if worker.connection in ready:
                reason = worker.receive(self._answers, self._timeout)
            elif time.monotonic() >= worker.deadline:
                reason = f"timed out after {self._timeout:g} s"
            else:
                continue
            if reason is None:
                worker.send_next(self._timeout)
            else:
                self._answers.update(dict.fromkeys(worker.slots, SlotError(reason)))
                self._replace(self._workers.index(worker))

    def recycle(self, busy: set[int], resets: int) -> None:
        occupied = {slot % len(self._workers) for slot in busy}
        for index, worker in enumerate(self._workers):
            if worker.resets >= resets and index not in occupied:
                self._replace(index)

    def _replace(self, index: int) -> None:
        self._workers[index].kill()
        self._workers[index] = _Worker(self._hello)

    def close(self) -> None:
        self._closed = True
        for worker in self._workers:
            worker.hang_up()
        for worker in self._workers:
            worker.kill(grace=1.0)


class _Worker:
    """This side of one worker process."""

    def __init__(self, hello: tuple[Locator, str]) -> None:
        self.connection, far = multiprocessing.Pipe()
        self.slots: set[int] = set()
        self.resets = 0
        self.waiting_for: set[int] = set()
        self.queue: dict[Operation, dict[int, Any]] = {}
        """What is asked next, when it has answered."""
        self.deadline = 0.0
        self._started = False
        code = (
            "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
            "from sdar_cli.rollout.worker import main; main(int(sys.argv[1]))"
        )
        # One thread each, and the same hash seed in every worker: engines iterate over sets of strings.
        settings = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, str(far.fileno()), json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[far.fileno()],
            env=os.environ | settings,
        )
        far.close()
        with contextlib.suppress(OSError):  # a worker that died at once is noticed when it is waited for
            self.connection.send(hello)

    def await_start(self, seconds: float) -> None:
        """Wait until the environment is imported; a worker that cannot start ends the run."""
        if self._started:
            return
        remedy = "run `sdar doctor`"
        if not self.connection.poll(seconds):
            raise RunFailed(f"an environment worker did not start within {seconds:g} s: {remedy}")
        try:
            message = self.connection.recv()
        except (EOFError, OSError):
            raise RunFailed(f"an environment worker {self._ending()} while it started: {remedy}") from None
        if isinstance(message, Failure):
            if message.setup is not None:
                raise EnvironmentSetupError(message.setup)
            raise RunFailed(f"an environment worker {message.reason} while it started: {remedy}")
        assert isinstance(message, Started)
        self._started = True

    def enqueue(self, operation: Operation, slot: int, payload: Any) -> None:
        self.queue.setdefault(operation, {})[slot] = payload
        self.slots.add(slot)

    def send_next(self, timeout: float) -> None:
        """Send what is queued, unless it is at work."""
        if self.waiting_for or not self.queue:
            return
        operation = next(iter(self.queue))
        requests = self.queue.pop(operation)
        self.waiting_for = set(requests)
        self.resets += len(requests) if operation == "reset" else 0
        self.deadline = time.monotonic() + timeout
        with contextlib.suppress(OSError):  # a dead worker is noticed when its answer is read
            self.connection.send((operation, requests))

    def receive(self, answers: dict[int, Any], timeout: float) -> str | None:
        """Take one answer, or say why there will be none."""
        try:
            message = self.connection.recv()
        except (EOFError, OSError):
            return self._ending()
        if isinstance(message, Failure):
            if message.setup is not None:
                raise EnvironmentSetupError(message.setup)
            return message.reason
        assert isinstance(message, Answer)
        answers[message.slot] = message.result
        self.waiting_for.discard(message.slot)
        self.deadline = time.monotonic() + timeout
        return None

    def hang_up(self) -> None:
        self.connection.close()

    def kill(self, grace: float = 0.0) -> None:
        self.connection.close()
        try:
            self._process.wait(grace)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()

    def _ending(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._process.wait(5.0)
            return f"crashed ({signal.Signals(-code).name})" if code < 0 else f"crashed (exit status {code})"
        return "closed its pipe"
