"""The pool's slots stepped side by side in threads, for environments whose steps wait for something outside.

``count`` threads take slots off one queue. An operation's time counts from when a thread takes it. One that does
not answer in time is given up with its thread and its environment instance (a thread cannot be ended from
without): the slot answers ``SlotError``, a new thread takes the old one's place, and the next ``reset`` makes a new
instance. What a given-up thread answers later reaches nobody. Threads are daemons, so none delays the program's end.
Standard output belongs to the whole process and is not redirected: environments do not print.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sdar_cli.errors import EnvironmentSetupError
from sdar_cli.rollout.answers import checked, raised
from sdar_cli.rollout.backend import Operation, SlotError
from sdar_envs.base import Environment, Options

GRACE_SECONDS = 1.0
"""How long ``close`` waits for its threads, which are idle then."""


@dataclass(slots=True, eq=False)
class _Job:
    """One operation of one slot. The lock of ``Threads`` guards the fields below the line."""

    slot: int
    operation: Operation
    payload: Any
    instance: Environment | None
    # ----
    thread: threading.Thread | None = None
    """The one that took it."""
    started: float = 0.0
    """When that was, on the monotonic clock."""
    finished: bool = False
    seconds: float = 0.0
    """How long it took."""
    abandoned: bool = False
    """Nobody waits for it any more."""
    answer: Any = None
    """An Observation, a Step or what was raised."""

    def run(self, make: Callable[[], Environment]) -> Any:
        """Apply the operation, on an instance made first where there is none."""
        try:
            if self.instance is None:
                self.instance = make()
            return self.instance.reset(self.payload) if self.operation == "reset" else self.instance.step(self.payload)
        except BaseException as error:  # a thread that died of SystemExit would never answer
            return error


class Threads:
    """See the module docstring. Called from one thread at a time."""

    def __init__(self, environment: type[Environment], options: Options, count: int, timeout: float) -> None:
        self._make = lambda: environment(options)
        self._timeout = timeout
        self.slow = 0
        self._instances: dict[int, Environment] = {}
        """Of slots that no operation is running on."""
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._finished: list[_Job] = []
        self._waiting: dict[int, _Job] = {}
        """Jobs under way, by slot."""
        self._answers: dict[int, Any] = {}
        """Those that nobody has taken."""
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._closed = False
        for _ in range(count):
            self._start_thread()

    def submit(self, operation: Operation, requests: Mapping[int, Any]) -> None:
        if self._closed:
            raise ValueError("the pool is closed")
        for slot, payload in requests.items():
            self._waiting[slot] = _Job(slot, operation, payload, self._instances.pop(slot, None))
            self._jobs.put(self._waiting[slot])

    def take(self, seconds: float | None) -> dict[int, Any]:
        end = None if seconds is None else time.monotonic() + seconds
        while self._waiting and not self._answers:
            self._collect(end)
            if end is not None and time.monotonic() >= end:
                break
        answers, self._answers = self._answers, {}
        return answers

    def drop(self) -> None:
        with self._changed:
            for job in self._waiting.values():
                self._abandon(job)
        self._waiting, self._answers = {}, {}

    def recycle(self, busy: set[int], resets: int) -> None:
        pass

    def close(self) -> None:
        self._closed = True
        for _ in self._threads:
            self._jobs.put(None)
        deadline = time.monotonic() + GRACE_SECONDS
        while self._threads:
            self._threads.pop().join(max(0.0, deadline - time.monotonic()))
        while self._instances:
            with contextlib.suppress(Exception):  # of a run that is over
                self._instances.popitem()[1].close()

    def _collect(self, end: float | None) -> None:
        """Take up what has ended, or is overdue; sleep first if nothing has, until ``end`` at most."""
        with self._changed:
            if not self._finished:
                self._changed.wait(self._patience(end))
            finished, self._finished = self._finished, []
            for job in finished:
                if not job.abandoned:
                    del self._waiting[job.slot]
                    self.slow += job.seconds > self._timeout / 2
                    self._answers[job.slot] = self._result(job)
            now = time.monotonic()
            for job in [job for job in self._waiting.values() if job.thread and now >= job.started + self._timeout]:
                del self._waiting[job.slot]
                self.slow += 1
                self._answers[job.slot] = SlotError(f"timed out after {self._timeout:g} s")
                self._abandon(job)

    def _patience(self, end: float | None) -> float:
        """Seconds to the first deadline; a job that starts meanwhile has a later one than any that starts now."""
        now = time.monotonic()
        started = [job.started for job in self._waiting.values() if job.thread]
        first = min(started, default=now) + self._timeout
        return max(0.0, (first if end is None else min(first, end)) - now)

    def _result(self, job: _Job) -> Any:
        if isinstance(job.answer, EnvironmentSetupError):
            raise job.answer
        if isinstance(job.answer, BaseException):
            return SlotError(raised(job.answer))
        answer = checked(job.operation, job.answer)
        if job.instance is not None and not isinstance(answer, SlotError):
            self._instances[job.slot] = job.instance
        return answer

    def _abandon(self, job: _Job) -> None:
        """Wait no longer for a job, and let another thread do what its thread would have done next."""
        job.abandoned = True
        if job.thread and not job.finished:
            self._threads.remove(job.thread)
            self._start_thread()

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._work, name="sdar environment", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            with self._changed:
                if job.abandoned:
                    continue
                job.thread, job.started = threading.current_thread(), time.monotonic()
            answer = job.run(self._make)
            with self._changed:
                if job.abandoned:
                    return
                job.answer, job.finished, job.seconds = answer, True, time.monotonic() - job.started
                self._finished.append(job)
                self._changed.notify()
