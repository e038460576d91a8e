"""The two files of a spool: lines that are only ever appended, and the number of the last one that the store has.

They know nothing of what a line says, and of threads: that is the spool's.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from sdar_cli.errors import RunError
from sdar_cli.reading import Missing, Unreadable, open_regular
from sdar_cli.runs.disk import sync_folder
from sdar_cli.stop import STOP
from sdar_cli.tracking.write import read_number, write_at

FILE, SENT, OLD = "spool.jsonl", "sent", "spool.old"


@dataclass(slots=True)
class Place:
    """Of a write in the file."""

    number: int
    kind: str
    start: int
    length: int
    traces: int
    """Bytes of the file beside, 0 for other writes."""


class SpoolFile:
    """Made by reading what is there: ``take(text, start)`` gets each whole line, and says whether to go on.

    Where it says no, the file is put aside as ``spool.old``, and an empty one begins.

    Raises:
        RunError: what lies there is no file.
    """

    def __init__(self, folder: Path, take: Callable[[bytes, int], bool]) -> None:
        self._folder, self._path = folder, folder / FILE
        self.end = 0
        self.sent = read_number(folder / SENT)
        """As it was found."""
        self._read(take)
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._number = os.open(folder / SENT, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        os.ftruncate(self._file, self.end)

    def append(self, text: bytes) -> int:
        """Returns where it stands; of what does not fit on the disk nothing stays."""
        start = self.end
        try:
            write_at(self._file, text, start)
        except BaseException:
            os.ftruncate(self._file, start)
            raise
        self.end += len(text)
        return start

    def read(self, place: Place) -> bytes:
        return os.pread(self._file, place.length, place.start)

    def note_sent(self, number: int) -> None:
        with suppress(OSError):  # a full disk: it is sent again after a kill, which is no harm
            os.pwrite(self._number, b"%020d\n" % number, 0)

    def duplicate(self) -> int:
        """A descriptor of the file, to be synced while others go on, and closed."""
        return os.dup(self._file)

    def rewrite(self, first: bytes, kept: Collection[Place]) -> None:
        """Replace the file by a first line and those to be kept, whose starts are set anew."""
        beside = self._path.with_suffix(".new")
        fresh = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            write_at(fresh, first, 0)
            end, starts = len(first), []
            for place in kept:
                write_at(fresh, self.read(place), end)
                starts.append(end)
                end += place.length
            os.fsync(fresh)
        except BaseException:
            os.close(fresh)
            beside.unlink(missing_ok=True)
            raise
        with untorn():  # else later writes could go to a file that has no name any more
            try:
                os.replace(beside, self._path)
            finally:
                if beside.exists():
                    os.close(fresh)
                    beside.unlink()
                else:
                    old, self._file, self.end = self._file, fresh, end
                    for place, start in zip(kept, starts, strict=True):
                        place.start = start
                    os.close(old)
        sync_folder(self._folder)

    def close(self) -> None:
        os.close(self._file)
        os.close(self._number)

    def _read(self, take: Callable[[bytes, int], bool]) -> None:
        """What is behind the last whole line was cut by a kill."""
        try:
            with open_regular(self._path) as file:
                for text in file:
                    if not text.endswith(b"\n"):
                        break
                    if not take(text, self.end):
                        os.replace(self._path, self._folder / OLD)
                        self.end = 0
                        break
                    self.end += len(text)
        except Missing:
            return
        except (Unreadable, OSError) as error:
            raise RunError(f"{self._path} {error}: move it away, and what MLflow lacks with it") from None


def untorn() -> AbstractContextManager[None]:
    """Around an instant that no Ctrl-C is to cut in two; ``STOP`` counts for the main thread, the one it reaches."""
    return STOP.held() if threading.current_thread() is threading.main_thread() else nullcontext()
