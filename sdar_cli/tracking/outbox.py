"""Where a tracker puts its writes: straight into the store, or on disk for a thread that sends them.

What has no folder to wait in is written at once: a study's run, which is shown whole again at its next cell.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from sdar_cli.tracking.delivery import Delivery
from sdar_cli.tracking.location import redact
from sdar_cli.tracking.sender import Sender, describe
from sdar_cli.tracking.spool import LIMIT, Spool
from sdar_cli.tracking.wire import one_line
from sdar_cli.tracking.write import Write


class Outbox(Protocol):
    def metrics(self, step: int, values: Mapping[str, float]) -> int:
        """Returns how many of the values are new."""
        ...

    def put(self, kind: str, content: Mapping[str, Any], *, key: str | None = None, once: bool = False) -> None: ...

    def traces(self, key: str, traces: list[Any]) -> None: ...

    def replay(self, step: int) -> set[int]: ...

    @property
    def next_system_step(self) -> int: ...

    def sync(self) -> None: ...

    def finish(self, seconds: float | None = None) -> int:
        """Returns how many writes the store lacks."""
        ...


class AtOnce:
    """After a failure nothing more is tried, so that nothing arrives out of order; what is refused is left out."""

    def __init__(self, deliver: Delivery, say: Callable[[str], None]) -> None:
        self._deliver, self._say = deliver, say
        self._lost = 0
        self._number = 0

    def metrics(self, step: int, values: Mapping[str, float]) -> int:
        if values:
            self.put("metrics", {"step": step, "values": dict(values)})
        return len(values)

    def put(self, kind: str, content: Mapping[str, Any], *, key: str | None = None, once: bool = False) -> None:
        self._number += 1
        write = Write(self._number, kind, int(1000 * time.time()), content)
        if self._lost:
            self._lost += 1
            return
        store = f"the MLflow store {redact(self._deliver.uri)}"
        try:
            self._deliver(write)
        except Exception as error:
            if self._deliver.is_final(error):
                self._say(f"{store} refused {describe(write)} ({one_line(error)}): report it as a bug of sdar")
            else:
                self._lost = 1
                self._say(f"{store} takes no writes ({one_line(error)}): start it, and do this again")

    def traces(self, key: str, traces: list[Any]) -> None:
        self.put("traces", {"traces": traces})

    def replay(self, step: int) -> set[int]:
        return set()

    @property
    def next_system_step(self) -> int:
        return 0

    def sync(self) -> None:
        pass

    def finish(self, seconds: float | None = None) -> int:
        return self._lost


class Spooled:
    """Through ``folder``, in which whatever the store does not take now waits for the next process.

    Args:
        remedy: what sends that, as the end of a sentence.
    """

    def __init__(
        self,
        folder: Path,
        uri: str,
        run_id: str,
        say: Callable[[str], None],
        *,
        home: Path,
        limit: int = LIMIT,
        remedy: str = "",
    ) -> None:
        self._spool = Spool(folder, run_id, limit, say)
        self.deliver = Delivery(uri, run_id, home, traces=self._spool.read_traces)
        self._store, self._say, self._remedy = redact(uri), say, remedy
        self._sender = Sender(self._spool, self.deliver, self.deliver.is_final, self._store, say)

    def start(self) -> None:
        """Begin to send. The client is made on this thread, as it imports modules that others import meanwhile."""
        with suppress(Exception):  # the thread meets it again, and says so
            self.deliver.open()
        self._sender.start()

    @property
    def waiting(self) -> int:
        return self._spool.waiting

    def metrics(self, step: int, values: Mapping[str, float]) -> int:
        fresh = self._spool.metrics(step, values)
        self._sender.wake()
        return fresh

    def put(self, kind: str, content: Mapping[str, Any], *, key: str | None = None, once: bool = False) -> None:
        if self._spool.put(kind, content, key=key, once=once):
            self._sender.wake()

    def traces(self, key: str, traces: list[Any]) -> None:
        if self._spool.traces(key, traces):
            self._sender.wake()

    def replay(self, step: int) -> set[int]:
        return self._spool.replay(step)

    @property
    def next_system_step(self) -> int:
        return self._spool.next_system_step

    def sync(self) -> None:
        self._spool.sync()

    def finish(self, seconds: float | None = None) -> int:
        left = self._sender.finish(seconds)
        if left:
            why = f" ({self._sender.reason})" if self._sender.reason else ""
            self._say(
                f"the MLflow store {self._store} lacks {left} writes{why}, which wait in {self._spool.folder}: "
                f"{self._remedy}"
            )
        if self._sender.refusals > 1:
            self._say(f"the MLflow store {self._store} refused {self._sender.refusals} writes: see metrics.jsonl")
        return left
