"""Waiting for a server that does not answer: longer each time, and not for ever."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

FIRST, SHORTEST, LONGEST, GROWTH = 0.25, 0.001, 10.0, 2.0
"""Seconds between tries."""


@dataclass(frozen=True, slots=True)
class Patience:
    limit: float
    """Seconds."""
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def tries(self) -> Iterator[float]:
        """Yields the seconds waited so far before each try, the first at once; ends when the limit is over."""
        start, pause = self.clock(), FIRST
        yield 0.0
        while (waited := self.clock() - start) < self.limit:
            self.sleep(min(pause, max(self.limit - waited, SHORTEST)))
            pause = min(pause * GROWTH, LONGEST)
            yield self.clock() - start
