"""Where a tracker puts its writes: straight into the store, or on disk for a thread that sends them.

What has no folder to wait in is written at once: a study's run, which is shown whole again at its next cell.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from sdar_cli.errors import RunFailed
from sdar_cli.tracking.delivery import Delivery
from sdar_cli.tracking.known import Known
from sdar_cli.tracking.late import Late
from sdar_cli.tracking.location import is_elsewhere, redact
from sdar_cli.tracking.quiet import import_mlflow
from sdar_cli.tracking.sender import Sender, describe
from sdar_cli.tracking.spool import LIMIT, Spool
from sdar_cli.tracking.wire import Verdict, is_answer, one_line, refusal
from sdar_cli.tracking.write import Write

OPENING = 5.0
"""Longest wait, in seconds, for a store before a process goes on without: what it loads while that is opened can meet
what others load."""
FIRST = 10.0
"""The same for the making of a run."""


class Outbox(Protocol):
    @property
    def run_id(self) -> str: ...

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

    @property
    def run_id(self) -> str:
        return self._deliver.run_id

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
            if self._deliver.verdict(error) is not Verdict.FAILED:
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
        before: Callable[[], Known] = Known,
    ) -> None:
        self._spool = Spool(folder, run_id, limit, say, before)
        run_id = self._spool.run_id
        deliver = Delivery(uri, run_id, home, traces=self._spool.read_traces, made=self._spool.name_run)
        self.deliver, self._uri = deliver, uri
        self._store, self._say, self._remedy = redact(uri), say, remedy
        late = Late(self._spool)
        self._sender = Sender(self._spool, deliver, deliver.verdict, self._store, say, late, deliver.is_there)

    def start(self) -> None:
        """Begin to send. A file's client is made on this thread, as it imports modules that others import meanwhile; a
        store elsewhere may hold up who opens it for minutes, so that the thread does. Both are waited for ``OPENING``
        seconds."""
        if not is_elsewhere(self._uri):
            self._open()
            self._sender.start()
            return
        import_mlflow()
        self._sender.start(self._open)
        self._sender.opened.wait(OPENING)

    def _open(self) -> None:
        with suppress(Exception):  # the first write meets it again, and says so
            self.deliver.open(OPENING)

    def wait_for_run(self) -> Exception | None:
        """Until the store has made the run, ``FIRST`` seconds at most; returns why it never will.

        That it could not be reached is said and no reason: it is made when the store is there.
        """
        error = self._sender.wait_for_first(FIRST)
        if error is not None and (isinstance(error, RunFailed) or refusal(error) is Verdict.WRONG):
            self._sender.finish(0.0)
            return error
        if not self.run_id:
            why = f" ({one_line(error)})" if error is not None else ""
            what = "takes nothing yet" if error is not None and is_answer(error) else "does not answer"
            self._say(
                f"the MLflow store {self._store} {what}{why}: the run begins without it, and is made there "
                "when it does; if the address is wrong, stop the run and set tracking.uri"
            )
        return None

    @property
    def run_id(self) -> str:
        return self._spool.run_id

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

    def finish(self, seconds: float | None = None, patience: float | None = None) -> int:
        """``patience``: seconds to wait between two arrivals, where it is not to be as short as at a run's end."""
        left = self._sender.finish(seconds, patience)
        if left:
            why = f" ({self._sender.reason})" if self._sender.reason else ""
            self._say(
                f"the MLflow store {self._store} lacks {left} writes{why}, which wait in {self._spool.folder}: "
                f"{self._remedy}"
            )
        if self._sender.refusals > 1:
            self._say(f"the MLflow store {self._store} refused {self._sender.refusals} writes: see metrics.jsonl")
        return left
