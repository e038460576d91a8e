"""Requests that arrive while a batch runs make up the next one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from sdar_cli.retriever.engine import Hit

Search = Callable[[list[str], int], list[list[Hit]]]


@dataclass(eq=False, slots=True)
class _Request:
    queries: list[str]
    topk: int
    found: list[list[Hit]] = field(default_factory=list)
    error: Exception | None = None
    done: bool = False


class Batcher:
    """Makes a search that is fast for many queries and not safe in threads safe, without a pause for more to come.

    Whoever's turn it is runs the oldest waiting requests of one ``topk`` together, at most ``most`` queries unless
    a single request has more; requests of another ``topk`` are not mixed in, since an HNSW search depends on it.
    """

    def __init__(self, search: Search, most: int) -> None:
        self._search = search
        self._most = most
        self._waiting: list[_Request] = []
        self._gate = threading.Lock()
        """Held to touch ``_waiting``."""
        self._turn = threading.Lock()
        """Held to search."""

    def search(self, queries: list[str], topk: int) -> list[list[Hit]]:
        """Blocks until the answer is there; an error of the batch is every request's error."""
        request = _Request(queries, topk)
        with self._gate:
            self._waiting.append(request)
        with self._turn:
            while not request.done:
                self._run(self._take())
        if request.error is not None:
            raise request.error
        return request.found

    def _take(self) -> list[_Request]:
        with self._gate:
            first, batch, queries = self._waiting[0], [], 0
            for request in self._waiting:
                if request.topk == first.topk and (not batch or queries + len(request.queries) <= self._most):
                    batch.append(request)
                    queries += len(request.queries)
            self._waiting = [request for request in self._waiting if request not in batch]
        return batch

    def _run(self, batch: list[_Request]) -> None:
        try:
            found = self._search([query for request in batch for query in request.queries], batch[0].topk)
            start = 0
            for request in batch:
                request.found = found[start : start + len(request.queries)]
                start += len(request.queries)
        except Exception as error:
            for request in batch:
                request.error = error
        for request in batch:
            request.done = True
