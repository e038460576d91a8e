"""A corpus with a BM25 index over it, both on disk: the retriever that needs no server.

The corpus is JSON lines in Search-R1's format, ``{"id": "0", "contents": "\\"Title\\"\\ntext"}``, one document
each. Beside the index stand the byte offsets of its lines, so a document is read without the others.
"""

from __future__ import annotations

import hashlib
import os
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path

from sdar_cli.errors import EnvironmentSetupError
from sdar_cli.paths import cache_root
from sdar_cli.reading import Unreadable, inside, open_regular
from sdar_cli.retriever.scan import LONGEST, check, lines_of
from sdar_envs.search_qa.drafts import drafted

FILE = "corpus.jsonl"

Progress = Callable[[int, int], None]
"""Called with the documents done and all of them, 0 where that is not known."""


class Corpus:
    """An indexed corpus, open for reading; any number of threads may search it."""

    def __init__(self, file: Path, folder: Path) -> None:
        """``folder`` holds what ``index_corpus`` wrote for ``file``.

        Raises EnvironmentSetupError when it is damaged.
        """
        import numpy as np

        from sdar_envs.bm25 import Index
        from sdar_envs.bm25.format import open_array

        self._index = Index.open(folder / "bm25")
        try:
            self._offsets = open_array(inside(folder / "offsets.npy", folder), np.int64, len(self._index) + 1)
            with open_regular(file) as content:
                if self._offsets[-1] != os.fstat(content.fileno()).st_size:
                    raise ValueError("index and documents do not go together")
                self._file = os.dup(content.fileno())
        except (ValueError, Unreadable) as error:
            raise EnvironmentSetupError(f"the corpus in {folder} is damaged ({error}): remove that folder") from None
        self._folder = folder

    def __len__(self) -> int:
        return len(self._index)

    def search(self, query: str, k: int) -> list[str]:
        """Contents of the ``k`` best documents, best first; none for words that no document has."""
        return [self._contents(hit.document) for hit in self._index.search(query, k)]

    def close(self) -> None:
        os.close(self._file)

    def _contents(self, number: int) -> str:
        start, end = int(self._offsets[number]), int(self._offsets[number + 1])
        where = f"the corpus of {self._folder}: document {number}"
        if not 0 <= start < end <= start + 2 * LONGEST:
            raise EnvironmentSetupError(f"{where} has damaged offsets: remove that folder")
        return _document(os.pread(self._file, end - start, start), where)


def index_corpus(file: Path, folder: Path, progress: Progress | None = None) -> None:
    """Write the index of ``file``, and its offsets, into ``folder``, which exists.

    Raises EnvironmentSetupError, one sentence naming file and line, where a line is no document.
    """
    import numpy as np

    from sdar_envs.bm25 import Index

    offsets = array("q", [0])
    Index.build(folder / "bm25", _texts(file, offsets), progress)
    if len(offsets) == 1:
        raise EnvironmentSetupError(f"{file} holds no document: give a corpus in JSON lines")
    with (folder / "offsets.npy").open("wb") as out:
        np.save(out, np.frombuffer(offsets, np.int64), allow_pickle=False)
        out.flush()
        os.fsync(out.fileno())


def indexed(file: Path, progress: Progress | None = None) -> Path:
    """The folder in the cache with the index of a user's own corpus, made when the file is new or has changed."""
    folder = home(file)
    if not folder.is_dir():
        with drafted(folder) as draft:
            index_corpus(file, draft, progress)
    return folder


def open_corpus(file: Path) -> Corpus:
    """A user's own corpus, indexed first where it is not."""
    return Corpus(file, indexed(file))


def home(file: Path) -> Path:
    """Where the index of this file, as it is now, is or will be."""
    from sdar_envs.bm25.format import FORMAT

    try:
        status = os.stat(file)
    except OSError as error:
        raise EnvironmentSetupError(
            f"there is no corpus to search in process ({file}: {error.strerror}): put {FILE} beside the questions, "
            "or set environment.options.retriever=http"
        ) from error
    identity = f"\0{status.st_size}\0{status.st_mtime_ns}\0{FORMAT}".encode()
    name = hashlib.sha256(os.fsencode(os.path.realpath(file)) + identity).hexdigest()[:16]
    return cache_root() / "search-qa" / f"corpus-{name}"


def _texts(file: Path, offsets: array[int]) -> Iterator[str]:
    """Contents line by line; the offset of each next line is added to ``offsets``. Blank lines belong to the document
    before."""
    try:
        with open_regular(file) as content:
            for number, line in enumerate(lines_of(content, file), start=1):
                offsets.append(content.tell())
                if line.isspace():
                    end = offsets.pop()
                    offsets[-1] = end
                else:
                    yield _document(line, f"{file}: line {number}")
    except Unreadable as error:
        raise EnvironmentSetupError(f"{file} {error}: give a corpus in JSON lines") from None


def _document(line: bytes, where: str) -> str:
    contents = check(line, where)["contents"]
    if not contents.strip():
        raise EnvironmentSetupError(f"{where} has no text under 'contents': restore the file from its source")
    return contents
