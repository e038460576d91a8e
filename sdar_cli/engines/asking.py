"""Many requests to servers at once, each in a thread of its own, and their answers as they come."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sdar_cli.engines.client import Gone

if TYPE_CHECKING:
    from sdar_cli.engines.client import Server


@dataclass(slots=True, eq=False)
class _Job:
    about: Any
    work: Callable[[], Any]
    result: Any = None
    error: Exception | None = None


class Asking:
    """Work in threads; each piece comes back with what it was submitted with. Used by one thread.

    The threads are daemons: a server that never answers does not hold up the program's end.
    """

    def __init__(self, threads: int) -> None:
        self._most = threads
        self._threads: list[threading.Thread] = []
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._open: set[_Job] = set()

    def submit(self, about: Any, work: Callable[[], Any]) -> None:
        job = _Job(about, work)
        self._open.add(job)
        if len(self._threads) < min(len(self._open), self._most):
            self._threads.append(threading.Thread(target=self._run, name="vllm", daemon=True))
            self._threads[-1].start()
        self._jobs.put(job)

    def take(self, seconds: float | None) -> list[tuple[Any, Any]]:
        """(about, result) of what is done; waits for the first, at most so long; raises what the work raised."""
        end = None if seconds is None else time.monotonic() + seconds
        came: list[_Job] = []
        while self._open and not came:
            try:
                done = [self._done.get(timeout=None if end is None else max(0.0, end - time.monotonic()))]
            except queue.Empty:
                break
            done += [self._done.get() for _ in range(self._done.qsize())]
            came = [job for job in done if job in self._open]
        self._open.difference_update(came)
        for job in came:
            if job.error is not None:
                raise job.error
        return [(job.about, job.result) for job in came]

    def drop(self) -> None:
        """What is not begun never is; what is under way ends for nobody."""
        self._open = set()

    def close(self) -> None:
        self.drop()
        while self._threads:
            self._threads.pop()
            self._jobs.put(None)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            if job not in self._open:
                continue
            try:
                job.result = job.work()
            except Exception as error:
                job.error = error
            self._done.put(job)


class SameProcess:
    """Whether a server is still the process that it was: one question for all answers that came before it."""

    def __init__(self, server: Server, boot: str) -> None:
        self._server, self._boot = server, boot
        self._lock = threading.Lock()
        self._confirmed = -1.0
        """When the last question was asked whose answer was yes."""
        self._gone: Gone | None = None

    def confirm(self) -> None:
        """Raises Gone where an answer that has just come may be another process's."""
        came = time.monotonic()
        with self._lock:
            if self._confirmed >= came:
                return
            if self._gone is not None:
                raise self._gone
            asked = time.monotonic()
            try:
                if self._server.boot() != self._boot:
                    raise Gone("it was started again")
            except Gone as error:
                self._gone = error
                raise
            self._confirmed = asked
