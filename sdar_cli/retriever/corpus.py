"""A corpus on disk, read passage by passage: 21 million of them take a memory-mapped file of offsets, no more."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdar_cli.errors import EnvironmentSetupError
from sdar_cli.reading import Unreadable, inside, open_regular
from sdar_cli.retriever.scan import LONGEST, OFFSETS, Source, check, sha256

if TYPE_CHECKING:
    import numpy as np


class Corpus:
    """Passages by number; safe to read from several threads."""

    def __init__(self, file: Path, offsets: np.ndarray) -> None:
        self.file = file
        self._offsets = offsets
        try:
            with open_regular(file) as content:
                self._descriptor = os.dup(content.fileno())
        except Unreadable as error:
            raise EnvironmentSetupError(f"the corpus {file} {error}: say where it is with --corpus") from None

    @classmethod
    def open(cls, folder: Path, source: Source, file: Path | None = None) -> Corpus:
        """The corpus whose offsets lie in ``folder``; ``file`` says where it is now, if not where it was.

        Raises:
            EnvironmentSetupError: the file is gone or is not the one that was scanned, or the offsets are damaged.
        """
        corpus = cls(file or folder / source.file, _offsets(folder, source))
        facts = os.fstat(corpus._descriptor)
        same_time = facts.st_mtime_ns == source.modified
        if facts.st_size != source.bytes or not (same_time or sha256(corpus.file) == source.sha256):
            corpus.close()
            raise EnvironmentSetupError(
                f"{corpus.file} is not the corpus that {folder} was built from: name that file with --corpus, "
                "or build the index again with `sdar retriever build`"
            )
        return corpus

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def passage(self, number: int) -> dict[str, Any]:
        """The line's object as it stands in the file.

        Raises:
            EnvironmentSetupError: the file has changed since.
        """
        start, end = int(self._offsets[number]), int(self._offsets[number + 1])
        if not 0 <= start < end:
            raise EnvironmentSetupError(f"{self.file}: passage {number} has damaged offsets: build the index again")
        line, _, _ = os.pread(self._descriptor, min(end - start, LONGEST), start).partition(
            b"\n"
        )  # blank ones may follow
        return check(line, f"{self.file}: passage {number}")

    def texts(self) -> Iterator[str]:
        """The contents of all passages, in order."""
        for number in range(len(self)):
            yield self.passage(number)["contents"]

    def close(self) -> None:
        os.close(self._descriptor)


def _offsets(folder: Path, source: Source) -> np.ndarray:
    import numpy as np

    from sdar_envs.bm25.format import Mismatch, open_array

    try:
        offsets = open_array(inside(folder / OFFSETS, folder), np.int64, source.documents + 1)
    except Mismatch:
        raise EnvironmentSetupError(f"{folder / OFFSETS} does not belong to this index: build it again") from None
    except (ValueError, Unreadable) as error:
        raise EnvironmentSetupError(f"{folder / OFFSETS} cannot be read ({error}): build the index again") from None
    if offsets[-1] != source.bytes:
        raise EnvironmentSetupError(f"{folder / OFFSETS} does not belong to this index: build it again")
    return offsets
