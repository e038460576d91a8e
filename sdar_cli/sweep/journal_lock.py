"""The lock of a study's journal: held by a process, gone with it.

Optuna's own locks are files that a killed holder leaves behind, and others wait half a minute for them. A killed
holder may also leave half a line, which would make every later line unreadable: it is cut off under the lock.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class JournalLock:
    """What ``optuna.storages.journal.JournalFileBackend`` takes as ``lock_obj``; the storage serialises threads."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._file = journal.with_name(f".{journal.name}.lock")
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Wait for the lock, then make the journal end with a whole line."""
        self._descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        cut_torn_line(self._journal)
        return True

    def release(self) -> None:
        if self._descriptor is not None:
            # A child that was forked meanwhile and has not reached its program yet shares the descriptor.
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            os.close(self._descriptor)
            self._descriptor = None


def cut_torn_line(journal: Path) -> None:
    """Cut off what follows the last line end: its writer was killed before anybody heard of it."""
    with journal.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        if size == 0:
            return
        file.seek(size - 1)
        if file.read(1) == b"\n":
            return
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
