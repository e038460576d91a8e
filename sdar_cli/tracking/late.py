"""Writes that the store fails at again and again while it takes others, put aside so that they hold nothing up.

They are kept as the others are, in ``RUN/tracking/late/``, and tried once more when all others have arrived: at the
end of the run, of every process that goes on with it, and of ``sdar runs send``. One that something newer was put down
for since, such as another value of the same tag, is forgotten instead.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from sdar_cli.errors import RunFailed
from sdar_cli.tracking.spool import Spool
from sdar_cli.tracking.spool_file import FILE
from sdar_cli.tracking.write import Write

FOLDER = "late"


class Late:
    """Of one spool; for the thread that sends, and ``close`` for the one that has done with it."""

    def __init__(self, spool: Spool) -> None:
        self._main = spool
        self._lock = threading.Lock()
        self._closed = False
        self._folder = spool.folder / FOLDER
        self._kept = self._open() if (self._folder / FILE).is_file() else None
        self._left_to_try = 0
        self._taken = 0
        """Number of the last write that was put down, maybe not on the disk itself."""

    @property
    def waiting(self) -> int:
        return 0 if self._kept is None else self._kept.waiting

    @property
    def to_try(self) -> bool:
        return self._left_to_try > 0

    def keep(self, write: Write) -> None:
        """Take the spool's oldest write; the spool still has it.

        Raises:
            RunFailed: the disk is full; or it is closed, and the folder may be another process's.
        """
        with self._lock:
            if self._closed:
                raise RunFailed("it is closed")
            self._kept = self._kept or self._open()
            if self._taken != write.number:
                self._kept.take_over(self._main, write)
                self._taken = write.number
            self._kept.sync()

    def begin(self) -> None:
        """Each is to be tried once now."""
        self._left_to_try = self.waiting

    def attempt(self, deliver: Callable[[Write], None], is_over: Callable[[Write, Exception], bool]) -> None:
        """Try the next of them; what fails comes behind the others, unless that was the end of it. Raises what
        ``deliver`` does."""
        try:
            self._attempt(deliver, is_over)
        finally:
            self._left_to_try -= 1

    def _attempt(self, deliver: Callable[[Write], None], is_over: Callable[[Write, Exception], bool]) -> None:
        write = None if self._kept is None else self._kept.first()
        if self._kept is None or write is None:
            return
        try:
            if not self._main.is_replaced(write):
                deliver(self._with_traces(write))
        except Exception as error:
            if not is_over(write, error):
                self._kept.take_over(self._kept, write)  # on a full disk it stays where it is
            self._kept.acknowledge(write.number)
            raise
        self._kept.acknowledge(write.number)

    def _with_traces(self, write: Write) -> Write:
        """Its files are this folder's."""
        if write.kind != "traces" or self._kept is None:
            return write
        return replace(write, content={"traces": self._kept.read_traces(write)})

    def close(self) -> int:
        with self._lock:
            self._closed = True
            return 0 if self._kept is None else self._kept.close()

    def _open(self) -> Spool:
        return Spool(self._folder, self._main.run_id, say=self._main.say)
