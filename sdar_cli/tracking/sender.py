"""The thread that takes writes from the spool to MLflow: in order, one at a time, until each is there.

While the store is away it tries again after 1, 2, 4 … 30 seconds for as long as the process lives. Training never
waits for it; the end of a run does, while writes arrive. A process that is forked has no such thread, and no use for
one: workers of environments are programs of their own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from sdar_cli.errors import RunError, RunFailed
from sdar_cli.tracking.late import Late
from sdar_cli.tracking.spool import Spool
from sdar_cli.tracking.wire import Verdict, one_line
from sdar_cli.tracking.write import Write

FAILURES = 3
"""In a row, after which it is said that the store is away."""
TRIES = 5
"""Of one write, after which the store is asked whether it takes others."""
LONGEST = 30.0
"""Seconds between two tries."""
PATIENCE = 30.0
"""Seconds at the end of a run in which no write arrives, after which the rest is left in the spool."""
PATIENCE_FOR_FILES = 120.0
"""The same while weights or files are on their way."""
UNHURRIED = 900.0
"""The same where somebody asked for nothing else than to send."""
SPEAKS = 2.0
"""Seconds of waiting at the end of a run after which it is said."""
LAST_TRIES = 2
"""Failures at the end of a run after which the rest is left in the spool."""


class Sender:
    """``store`` is its name in sentences, of which ``say`` gets each.

    A failure is one of three (``judge``): the write is wrong, and left out; the store said no, and not why, which is
    believed the ``TRIES``th time; or the store is not well. Then the write waits, and all others with it, unless the
    store turns out to take those: it is put aside (late.py).
    """

    def __init__(
        self,
        spool: Spool,
        deliver: Callable[[Write], None],
        judge: Callable[[Exception], Verdict],
        store: str,
        say: Callable[[str], None],
        late: Late,
        is_there: Callable[[], bool] = lambda: True,
    ) -> None:
        self._spool, self._late, self._deliver, self._judge = spool, late, deliver, judge
        self._is_there, self._store, self._say = is_there, store, say
        self._news = threading.Condition()
        self._hurries = self._closed = self._lapped = False
        self._sending = ""
        self._arrived = 0
        self._failures = 0
        self._last_failures = 0
        self._away = False
        self._flushed = 0
        self._stuck = self._tries = self._noes = 0
        """The write that failed last: its number, how often it did, how often the store said no to it."""
        self._hard: set[str] = set()
        """Kinds of which the last one was put aside."""
        self._told = False
        self._refused: set[str] = set()
        self.opened = threading.Event()
        self._error: Exception | None = None
        self.reason = ""
        """Why the last try failed."""
        self.refusals = 0
        """Writes that the store did not take, and never will."""
        self._thread: threading.Thread | None = None

    def start(self, first: Callable[[], None] = lambda: None) -> None:
        """``first`` opens the store, on the thread; ``opened`` is set when it has done so, or failed."""
        self._thread = threading.Thread(target=self._run, args=(first,), name="sdar-mlflow", daemon=True)
        self._thread.start()

    def wait_for_first(self, seconds: float) -> Exception | None:
        """Until a write has arrived or failed; returns why it failed."""
        with self._news:
            self._news.wait_for(lambda: self._arrived or self._failures, seconds)
            return None if self._arrived else self._error

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
            return self._attempt_late()
        self._sending = write.kind
        try:
            self._deliver(write)
        except Exception as error:
            self._error, self.reason = error, one_line(error)
            if not self._is_done_with(write, self._judge(error)):
                return self._failed()
            self._spool.acknowledge(write.number)
            self._go_on(0)
        else:
            self._hard.discard(write.kind)
            self._spool.acknowledge(write.number)
            self._go_on(1)
        return 0.0

    @property
    def waiting(self) -> int:
        return self._spool.waiting + self._late.waiting

    def finish(self, seconds: float | None = None, patience: float | None = None) -> int:
        """Wait while writes arrive; returns how many are left, on the disk.

        Args:
            seconds: at most.
            patience: between two arrivals.
        """
        if self._thread is not None and not self._closed:
            self._wait(None if seconds is None else time.monotonic() + seconds, patience)
        with self._news:
            self._closed = True
            self._news.notify_all()
        left = self._spool.close() + self._late.close()
        if self._thread is not None and not left:
            self._thread.join(timeout=1.0)
        return left

    def _wait(self, deadline: float | None, patience: float | None) -> None:
        with self._news:
            self._hurries, self._lapped, self._last_failures = True, False, 0
            self._news.notify_all()
            last = began = time.monotonic()
            arrived, speaks = self._arrived, SPEAKS
            while (self._spool.waiting or self._is_late_to_try()) and self._last_failures < LAST_TRIES:
                now = time.monotonic()
                if self._arrived != arrived:
                    last, arrived = now, self._arrived
                longest = patience or (PATIENCE_FOR_FILES if self._sending in ("version", "file") else PATIENCE)
                end = last + longest if deadline is None else min(deadline, last + longest)
                if now >= end:
                    return
                if now - began >= speaks:
                    speaks += 10.0
                    self._say(
                        f"{self.waiting} writes are still on their way to the MLflow store {self._store}: if none "
                        f"arrives within {end - now:.0f} s, they are left in {self._spool.folder}"
                    )
                self._news.wait(min(end - now, 0.5))

    def _is_late_to_try(self) -> bool:
        return self._hurries and (self._late.to_try or (not self._lapped and self._late.waiting > 0))

    def _attempt_late(self) -> float | None:
        """Once each, at the end."""
        if not self._is_late_to_try():
            return None
        if not self._lapped:
            self._late.begin()
            self._lapped = True
        try:
            self._late.attempt(self._deliver_late, self._is_over)
        except Exception as error:
            self.reason = one_line(error)
            with self._news:
                self._sending = ""
                self._news.notify_all()
        else:
            self._go_on(1)
        return 0.0

    def _deliver_late(self, write: Write) -> None:
        self._sending = write.kind
        self._deliver(write)

    def _is_over(self, write: Write, error: Exception) -> bool:
        """Whether a write that was put aside is refused."""
        self.reason = one_line(error)
        is_wrong = self._judge(error) is Verdict.WRONG
        if is_wrong:
            self._refuse(write)
        return is_wrong

    def _is_done_with(self, write: Write, verdict: Verdict) -> bool:
        """Whether a write that failed holds up no others: it is refused, or put aside."""
        if self._stuck != write.number:
            self._stuck, self._tries, self._noes = write.number, 0, 0
        self._tries += 1
        self._noes += verdict is Verdict.REFUSED
        if verdict is Verdict.WRONG or self._noes >= TRIES:
            self._refuse(write)
            return True
        is_asked = self._tries >= TRIES or self._hurries or write.kind in self._hard
        return is_asked and self._others_pass(write) and self._put_aside(write)

    def _others_pass(self, write: Write) -> bool:
        """Whether the store takes a later write now, which it gets once more when it is that one's turn."""
        try:
            others = self._spool.behind(write)
        except OSError:  # the disk
            return False
        for other in others if others and self._is_there() else []:
            try:
                self._deliver(other)
            except Exception:
                continue
            return True
        return False

    def _put_aside(self, write: Write) -> bool:
        try:
            self._late.keep(write)
        except (OSError, RunError, RunFailed):  # of the disk: it stays where it is
            return False
        self._hard.add(write.kind)
        if not self._told and not self._closed:
            self._told = True
            self._say(
                f"the MLflow store {self._store} fails at {describe(write)} ({self.reason}) and takes others: it is "
                "put aside, as whatever else it fails at, and tried again at the end"
            )
        return True

    def _run(self, first: Callable[[], None]) -> None:
        first()
        self.opened.set()
        while True:
            delay = self.attempt()
            with self._news:
                if delay is None:
                    self._news.wait_for(lambda: self._closed or self._spool.waiting or self._is_late_to_try())
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

    def _go_on(self, arrived: int) -> None:
        """The first write is over, and has arrived or not."""
        with self._news:
            self._failures, self._sending = 0, ""
            self._arrived += arrived
            self._flushed += arrived * self._away
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
