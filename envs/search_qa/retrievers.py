"""The retrievers of this process, opened once and shared by all slots: an index in process, or a client."""

from __future__ import annotations

import atexit
import threading
from pathlib import Path
from typing import Protocol

from sdar_envs.search_qa.client import RetrievalClient, ServerSettings
from sdar_envs.search_qa.corpus import open_corpus
from sdar_envs.search_qa.generated import World, open_generated


class Retriever(Protocol):
    """Any number of threads may search at once."""

    def search(self, query: str, k: int) -> list[str]:
        """Contents of the ``k`` best documents, best first."""

    def close(self) -> None: ...


_lock = threading.Lock()
_open: dict[World | ServerSettings | Path, Retriever] = {}


def shared(source: World | ServerSettings | Path) -> Retriever:
    """The retriever over a generated world, behind servers, or over a user's corpus.

    Raises EnvironmentSetupError when it cannot be opened: no server is there, or a corpus is malformed.
    """
    with _lock:
        if source not in _open:
            _open[source] = _opened(source)
        return _open[source]


def close_all() -> None:
    """Close what is open; the next use opens it again."""
    with _lock:
        while _open:
            _open.popitem()[1].close()


atexit.register(close_all)


def _opened(source: World | ServerSettings | Path) -> Retriever:
    if isinstance(source, World):
        return open_generated(source)
    return _connect(source) if isinstance(source, ServerSettings) else open_corpus(source)


def _connect(settings: ServerSettings) -> RetrievalClient:
    client = RetrievalClient(settings)
    try:
        client.check()
    except BaseException:
        client.close()
        raise
    return client
