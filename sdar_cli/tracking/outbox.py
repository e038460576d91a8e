"""An ordered, bounded queue of writes to a store that may be away for a while.

Every write waits for those before it, so that nothing arrives out of order. While the store is away,
writes pile up; after ``PATIENCE`` failures in a row the outbox says so once and stops trying until it
is closed. What the store refuses for good is dropped, and said.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable

Write = Callable[[], object]

PATIENCE = 5
"""Failed attempts in a row after which a store counts as gone."""
CAPACITY = 2000
"""Waiting writes; beyond it the oldest is dropped."""


class Outbox:
    """``say`` gets one sentence a problem; ``is_final(error)`` tells a refusal from an absence."""

    def __init__(self, store: str, say: Callable[[str], None], is_final: Callable[[Exception], bool]) -> None:
        self._store = store
        self._say = say
        self._is_final = is_final
        self._waiting: deque[tuple[str, Write]] = deque()
        self._failures = 0
        self.dropped = 0
        """Writes that never reached the store."""

    def put(self, what: str, write: Write) -> None:
        """Do a write now, or keep it for later; never raises for a failing store."""
        if len(self._waiting) >= CAPACITY:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append((what, write))
        if self._failures < PATIENCE:
            self._drain()

    def close(self) -> None:
        """Try what waits one last time, and say how much was lost."""
        self._failures = min(self._failures, PATIENCE - 1)
        self._drain()
        lost = self.dropped + len(self._waiting)
        self.dropped = lost
        self._waiting.clear()
        if lost:
            self._say(
                f"{lost} writes never reached the MLflow store {self._store}: "
                "read metrics.jsonl and the evaluations in the run's folder instead"
            )

    def _drain(self) -> None:
        while self._waiting:
            what, write = self._waiting[0]
            try:
                write()
            except Exception as error:
                if not self._is_final(error):
                    self._failures += 1
                    if self._failures == PATIENCE:
                        self._say(
                            f"the MLflow store {self._store} failed {PATIENCE} times in a row "
                            f"({one_line(error)}): the run goes on and writes its metrics to metrics.jsonl"
                        )
                    return
                self._say(
                    f"the MLflow store {self._store} refused {what} ({one_line(error)}): report it as a bug of sdar"
                )
                self.dropped += 1
            self._failures = 0
            self._waiting.popleft()


def one_line(error: BaseException, limit: int = 160) -> str:
    """An error's text on one line, without the user and password of any URL, cut at ``limit`` characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    text = re.sub(r"//[^/\s]*@", "//***@", text)
    return text if len(text) <= limit else text[: limit - 1] + "…"
