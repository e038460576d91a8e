"""Many requests to servers at once, each in a thread of its own, and their answers as they come."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
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


class _Crew:
    """Threads, what they are to do, and what they have done."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._threads = 0
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self.done: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self.dismissed = threading.Event()

    def give(self, job: _Job, open_jobs: int) -> None:
        if self._threads < min(open_jobs, self._most):
            self._threads += 1
            threading.Thread(target=self._run, name="vllm", daemon=True).start()
        self._jobs.put(job)

    def dismiss(self) -> None:
        """Each thread ends, at once or after what it is at."""
        self.dismissed.set()
        for _ in range(self._threads):
            self._jobs.put(None)

    def _run(self) -> None:
        _CREW.own = self
        while (job := self._jobs.get()) is not None and not self.dismissed.is_set():
            try:
                job.result = job.work()
            except Exception as error:
                job.error = error
            self.done.put(job)


_CREW = threading.local()


def given_up() -> bool:
    """Within work: whether nobody waits for it any more."""
    crew = getattr(_CREW, "own", None)
    return crew is not None and crew.dismissed.is_set()


class Asking:
    """Work in threads; each piece comes back with what it was submitted with. Used by one thread.

    The threads are daemons: a server that never answers does not hold up the program's end. Nor does it hold up what
    is submitted after ``drop``, which gets threads of its own.
    """

    def __init__(self, threads: int) -> None:
        self._most = threads
        self._crew = _Crew(threads)
        self._open: set[_Job] = set()

    def submit(self, about: Any, work: Callable[[], Any]) -> None:
        job = _Job(about, work)
        self._open.add(job)
        self._crew.give(job, len(self._open))

    def take(self, seconds: float | None) -> list[tuple[Any, Any]]:
        """(about, result) of what is done; waits for the first, at most so long; raises what the work raised."""
        end = None if seconds is None else time.monotonic() + seconds
        done = self._crew.done
        came: list[_Job] = []
        if self._open:
            with suppress(queue.Empty):
                came.append(done.get(timeout=None if end is None else max(0.0, end - time.monotonic())))
                came += [done.get() for _ in range(done.qsize())]
        self._open.difference_update(came)
        for job in came:
            if job.error is not None:
                raise job.error
        return [(job.about, job.result) for job in came]

    def drop(self) -> None:
        """What is not begun never is; what is under way ends for nobody, and its thread with it."""
        self._open = set()
        self._crew.dismiss()
        self._crew = _Crew(self._most)

    close = drop


class SameProcess:
    """Whether a server is still the process that it was, with weights of the same sync: one question for all answers
    that came before it."""

    def __init__(self, server: Server, boot: str, holder: str) -> None:
        self._server, self._boot, self._holder = server, boot, holder
        self._lock = threading.Lock()
        self._confirmed = -1.0
        """When the last question was asked whose answer was yes."""
        self._gone: Gone | None = None

    def confirm(self) -> None:
        """Raises Gone where an answer that has just come may be another process's, UserError where it may be of
        another run's weights."""
        came = time.monotonic()
        with self._lock:
            if self._confirmed >= came:
                return
            if self._gone is not None:
                raise self._gone
            asked = time.monotonic()
            try:
                boot, holder = self._server.state()
                if boot != self._boot:
                    raise Gone("it was started again")
                if holder != self._holder:
                    raise self._server.taken()
            except Gone as error:
                self._gone = error
                raise
            self._confirmed = asked
