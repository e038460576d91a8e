"""How many connections a server of ours has at a time, and how long one may lie there without a whole request's head.

uvicorn closes a connection that is idle after an answer, and never one that has asked for nothing yet.
"""

from __future__ import annotations

import asyncio
import resource
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 30.0
"""In which a request's line and headers must be here, 64 KiB at most."""
SPARE = 128
"""Open files that are left to everything else."""


def bounded(most: int, seconds: float = HEAD_SECONDS) -> type[asyncio.Protocol]:
    """The ``http`` of a uvicorn configuration.

    Args:
        most: connections at a time, or fewer where the process may not open as many files; further ones are closed.
        seconds: from the connection, or from the first byte after an answer, to the end of the next request's head.
    """
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files != resource.RLIM_INFINITY:
        most = max(1, min(most, files - SPARE))

    class Bounded(H11Protocol):
        def __init__(self, *words: Any, **named: Any) -> None:
            super().__init__(*words, **named)
            self._until: asyncio.TimerHandle | None = None
            self._answered: Any = None
            """The request before the one that is waited for; None: there was none."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > most:
                transport.abort()
            else:
                self._wait()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.cycle is not self._answered:
                self._stop()
            if self.cycle is None or not self.cycle.response_complete:
                return
            if self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]:
                self._idle()
            elif self._until is None:
                self._wait()

        def _idle(self) -> None:
            """The rest of a body has come whose request was answered before: uvicorn has ended what it had begun then
            to close the connection."""
            self._stop()
            if not self.transport.is_closing():
                self.timeout_keep_alive_task = self.loop.call_later(
                    self.timeout_keep_alive, self.timeout_keep_alive_handler
                )

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop()
            super().connection_lost(exc)

        def _wait(self) -> None:
            self._answered = self.cycle
            self._until = self.loop.call_later(seconds, self._give_up)

        def _stop(self) -> None:
            if self._until is not None:
                self._until.cancel()
                self._until = None

        def _give_up(self) -> None:
            self._until = None
            if self.cycle is self._answered:
                self.transport.abort()

    return Bounded
