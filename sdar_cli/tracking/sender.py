"""The thread that takes writes from the spool to MLflow: in order, one at a time, until each is there.

While the store is away it tries again after 1, 2, 4 … 30 seconds for as long as the process lives. Training never
waits for it; the end of a run does, while writes arrive. A process that is forked has no such thread, and no use for
one: workers of environments are programs of their own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from sdar_cli.tracking.spool import Spool
from sdar_cli.tracking.wire import one_line
from sdar_cli.tracking.write import Write

FAILURES = 3
"""In a row, after which it is said that the store is away."""
LONGEST = 30.0
"""Seconds between two tries."""
PATIENCE = 30.0
"""Seconds at the end of a run in which no write arrives, after which the rest is left in the spool."""
PATIENCE_FOR_FILES = 900.0
"""The same while weights or files are on their way."""
SPEAKS = 2.0
"""Seconds of waiting at the end of a run after which it is said."""
LAST_TRIES = 2
"""Failures at the end of a run after which the rest is left in the spool."""


class Sender:
    """``is_final(error)`` tells a refusal of one write from an absence of the store; ``say`` gets a sentence."""

    def __init__(
        self,
        spool: Spool,
        deliver: Callable[[Write], None],
        is_final: Callable[[Exception], bool],
        store: str,
        say: Callable[[str], None],
    ) -> None:
        self._spool, self._deliver, self._is_final = spool, deliver, is_final
        self._store, self._say = store, say
        self._news = threading.Condition()
        self._hurries = self._closed = False
        self._sending = ""
        self._arrived = 0
        self._failures = 0
        self._last_failures = 0
        self._away = False
        self._flushed = 0
        self._refused: set[str] = set()
        self.reason = ""
        """Why the last try failed."""
        self.refusals = 0
        """Writes that the store did not take, and never will."""
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="sdar-mlflow", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """There is something to send."""
        with self._news:
            self._news.notify_all()

    def attempt(self) -> float | None:
        """Send the first write; seconds until the next try, None where nothing waits."""
        try:
            write = self._spool.first()
        except OSError as error:  # the disk, which may come back
            self.reason = one_line(error)
            return self._failed()
        if write is None:
            return None
        self._sending = write.kind
        try:
            self._deliver(write)
        except Exception as error:
            self.reason = one_line(error)
            if not self._is_final(error):
                return self._failed()
            self._refuse(write)
        self._spool.acknowledge(write.number)
        self._arrive()
        return 0.0

    def finish(self, seconds: float | None = None) -> int:
        """Wait while writes arrive, ``seconds`` at most; returns how many are left, in the spool."""
        if self._thread is not None and not self._closed:
            self._wait(None if seconds is None else time.monotonic() + seconds)
        with self._news:
            self._closed = True
            self._news.notify_all()
        left = self._spool.close()
        if self._thread is not None and not left:
            self._thread.join(timeout=1.0)
        return left

    def _wait(self, deadline: float | None) -> None:
        with self._news:
            self._hurries, self._last_failures = True, 0
            self._news.notify_all()
            last = began = time.monotonic()
            arrived, speaks = self._arrived, SPEAKS
            while self._spool.waiting and self._last_failures < LAST_TRIES:
                now = time.monotonic()
                if self._arrived != arrived:
                    last, arrived = now, self._arrived
                patience = PATIENCE_FOR_FILES if self._sending in ("version", "file") else PATIENCE
                end = last + patience if deadline is None else min(deadline, last + patience)
                if now >= end:
                    return
                if now - began >= speaks:
                    speaks += 10.0
                    self._say(f"{self._spool.waiting} writes are still on their way to the MLflow store {self._store}")
                self._news.wait(min(end - now, 0.5))

    def _run(self) -> None:
        while True:
            delay = self.attempt()
            with self._news:
                if delay is None:
                    self._news.wait_for(lambda: self._closed or self._spool.waiting)
                elif delay and not self._hurries:
                    self._news.wait_for(lambda: self._closed or self._hurries, delay)
                elif delay:
                    self._news.wait_for(lambda: self._closed, min(delay, 1.0))
                if self._closed:
                    return

    def _failed(self) -> float:
        with self._news:
            self._failures += 1
            self._last_failures += 1
            self._news.notify_all()
            is_news = self._failures == FAILURES and not self._closed
            self._away |= is_news
        if is_news:
            self._say(
                f"the MLflow store {self._store} takes no writes ({self.reason}): the run goes on, and they wait in "
                f"{self._spool.folder}"
            )
        return min(2.0 ** (self._failures - 1), LONGEST)

    def _arrive(self) -> None:
        with self._news:
            self._failures, self._sending = 0, ""
            self._arrived += 1
            self._flushed += self._away
            is_back = self._away and not self._spool.waiting and not self._closed
            flushed = self._flushed
            if is_back:
                self._away, self._flushed = False, 0
            self._news.notify_all()
        if is_back:
            self._say(f"the MLflow store {self._store} is back: {flushed} writes flushed")

    def _refuse(self, write: Write) -> None:
        self.refusals += 1
        if write.kind not in self._refused and not self._closed:
            self._refused.add(write.kind)
            self._say(
                f"the MLflow store {self._store} refused {describe(write)} ({self.reason}), and goes without it: "
                "report it as a bug of sdar"
            )


def describe(write: Write) -> str:
    """A write in two or three words."""
    content = write.content
    if write.kind == "metrics":
        return f"metrics of step {content['step']}"
    name = content.get("path") or content.get("key") or content.get("name")
    words = {"text": "the file", "untag": "the end of tag", "version": "the version of"}
    return f"{words.get(write.kind, f'the {write.kind}')} {name}" if name else f"the {write.kind}"
