"""Which of several servers is asked next: in turn, but not one that has just failed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit, urlunsplit

REST_SECONDS = 30.0
"""How long a server that failed is passed over while another is there."""


class Servers:
    """Safe to share between threads."""

    def __init__(self, urls: Sequence[str], clock: Callable[[], float]) -> None:
        self._urls = list(dict.fromkeys(urls))
        self._clock = clock
        self._lock = threading.Lock()
        self._turn = 0
        self._rested = dict.fromkeys(urls, 0.0)
        """When a server's rest is over, on the clock."""

    def next(self) -> str:
        """The next that does not rest; where all do, the one whose rest ends first."""
        with self._lock:
            now = self._clock()
            order = self._urls[self._turn :] + self._urls[: self._turn]
            chosen = next((url for url in order if self._rested[url] <= now), None)
            if chosen is None:
                chosen = min(order, key=lambda url: self._rested[url])
            self._turn = (self._urls.index(chosen) + 1) % len(self._urls)
            return chosen

    def failed(self, url: str) -> None:
        with self._lock:
            self._rested[url] = self._clock() + REST_SECONDS

    def worked(self, url: str) -> None:
        with self._lock:
            self._rested[url] = 0.0

    @property
    def all_rest(self) -> bool:
        with self._lock:
            now = self._clock()
            return all(end > now for end in self._rested.values())


def shown(url: str) -> str:
    """The URL without a user's name and password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
