"""Episodes that wait for MLflow: a compressed file a write, named after its number."""

from __future__ import annotations

import gzip
import json
import shutil
import zlib
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

from sdar_cli.reading import Unreadable, read_bytes
from sdar_cli.runs.disk import disk

LARGEST = 2**30


class TraceFiles:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, number: int, packed: bytes) -> None:
        """Raises RunFailed: the disk is full."""
        with disk(self._folder, "traces"):
            self._path(number).write_bytes(packed)

    def read(self, number: int) -> list[Any]:
        """None where they were given up, or damaged."""
        try:
            return json.loads(gzip.decompress(read_bytes(self._path(number), LARGEST)))
        except (Unreadable, OSError, EOFError, ValueError, zlib.error):
            return []

    def copy(self, other: TraceFiles, of: int, number: int) -> None:
        """Take those that another folder has; nothing where they were given up. Raises RunFailed."""
        with disk(self._folder, "traces"), suppress(FileNotFoundError):
            shutil.copyfile(other._path(of), self._path(number))

    def remove(self, number: int) -> None:
        self._path(number).unlink(missing_ok=True)

    def keep(self, numbers: Collection[int]) -> None:
        """Remove all others."""
        names = {self._path(number).name for number in numbers}
        for file in self._folder.iterdir():
            if file.name not in names:
                file.unlink()

    def _path(self, number: int) -> Path:
        return self._folder / f"{number}.json.gz"


def pack(traces: list[Any]) -> bytes:
    return gzip.compress(json.dumps(traces).encode(), compresslevel=1, mtime=0)
