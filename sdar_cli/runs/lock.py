"""One process at a time on a run folder."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from sdar_cli.errors import RunError
from sdar_cli.runs.disk import disk

PATIENCE = 0.5
"""Seconds that a lock is tried for before it counts as another's."""
PAUSE = 0.005


class RunLock:
    """An advisory lock on ``run.lock``; the system releases it when the process ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock; where another process has it, it is asked for again for ``PATIENCE`` seconds, as whoever only
        asks whether it is held has it for an instant.

        Raises:
            RunError: another process holds the lock (the sentence names its pid and the folder), or the file system
                knows no locks.
        """
        descriptor = self._open(os.O_RDWR | os.O_CREAT)
        try:
            _take(descriptor)
        except BlockingIOError:
            holder = _holder(descriptor)
            os.close(descriptor)
            raise RunError(
                f"process {holder} is working on {self.folder}: wait for it, or stop it with `kill -INT {holder}`"
            ) from None
        except OSError as error:
            os.close(descriptor)
            raise RunError(
                f"the file system of {self.folder} locks no files ({error.strerror}), so that two processes could "
                "write there at once: use a folder on another, with --runs"
            ) from None
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        with suppress(OSError):  # on a full disk the lock holds all the same, and who asks hears of no pid
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def is_held(self) -> bool:
        """Whether some process (this one included) holds the lock now, or might where the file system cannot tell."""
        if self._descriptor is not None:
            return True
        if not (self.folder / "run.lock").exists():
            return False
        descriptor = self._open(os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        else:
            return False
        finally:
            os.close(descriptor)

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _open(self, flags: int) -> int:
        try:
            with disk(self.folder, "run.lock"):
                return os.open(self.folder / "run.lock", flags | os.O_CLOEXEC | os.O_NONBLOCK, 0o644)
        except OSError as error:
            raise RunError(f"{self.folder} cannot be locked ({error.strerror}): make the folder writable") from None


def _take(descriptor: int) -> None:
    """Raises BlockingIOError where another process has it all the while."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                raise
        time.sleep(PAUSE)


def _holder(descriptor: int) -> str:
    return os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
