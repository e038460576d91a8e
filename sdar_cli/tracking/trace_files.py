"""Episodes that wait for MLflow: a compressed file a write, named after its number."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

from sdar_cli.reading import Unreadable, read_bytes
from sdar_cli.runs.disk import disk, make_folder, sync_folder
from sdar_cli.tracking.write import write_at

LARGEST = 2**30


class TraceFiles:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made = self._synced = 0
        make_folder(folder)

    def write(self, number: int, packed: bytes) -> None:
        """The content is on the disk then, the name by ``sync``. Raises RunFailed: the disk is full."""
        path = self._path(number)
        with disk(self._folder, "traces"):
            try:
                file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
                try:
                    write_at(file, packed, 0)
                    os.fsync(file)
                finally:
                    os.close(file)
            except BaseException:
                self.remove(number)
                raise
        self._made += 1

    def sync(self) -> None:
        """Put the names of what was written on the disk."""
        made = self._made
        if made > self._synced:
            sync_folder(self._folder)
            self._synced = made

    def read(self, number: int) -> list[Any]:
        """None where they were given up, or damaged."""
        try:
            return json.loads(gzip.decompress(read_bytes(self._path(number), LARGEST)))
        except (Unreadable, OSError, EOFError, ValueError, zlib.error):
            return []

    def copy(self, other: TraceFiles, of: int, number: int) -> None:
        """Take those that another folder has; nothing where they were given up. Raises RunFailed."""
        with suppress(Unreadable):
            self.write(number, read_bytes(other._path(of), LARGEST))

    def remove(self, number: int) -> None:
        """What cannot be removed now is swept by ``keep``."""
        with suppress(OSError):
            self._path(number).unlink(missing_ok=True)

    def keep(self, numbers: Collection[int]) -> None:
        """Remove all others."""
        names = {self._path(number).name for number in numbers}
        for file in self._folder.iterdir():
            if file.name not in names:
                with suppress(OSError):
                    file.unlink()

    def _path(self, number: int) -> Path:
        return self._folder / f"{number}.json.gz"


def pack(traces: list[Any]) -> bytes:
    return gzip.compress(json.dumps(traces).encode(), compresslevel=1, mtime=0)
