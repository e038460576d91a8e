"""The records of a JSON file, put together from a parser's events one by one.

ijson does the same by itself, but keeps the path to every open list and mapping: memory that grows with the square of
how deep they are nested.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

DEEPEST = 1000
"""Lists and mappings within each other, the outermost one included; Python's own reader gives up about there."""


class TooDeep(Exception):
    """A record is nested deeper than ``DEEPEST``."""


class Records:
    """Elements of the outermost list or mapping; its events may come in several pieces."""

    def __init__(self) -> None:
        self.count = 0
        """Records so far."""
        self._open: list[Any] = []
        self._keys: list[str | None] = []
        """The current key of each open mapping, None for a list."""

    def of(self, events: Iterable[tuple[str, Any]]) -> Iterator[tuple[str | None, Any]]:
        """The records that end with these events of ``ijson.basic_parse``: key, None in a list, and value.

        Raises:
            TooDeep: after the records before.
        """
        for event, value in events:
            if event == "map_key":
                self._keys[-1] = value
                continue
            depth = len(self._open)
            if event in ("end_map", "end_array"):
                value = self._open.pop()
                self._keys.pop()
                if depth != 2:
                    continue
            elif event in ("start_map", "start_array"):
                value = {} if event == "start_map" else []
                if depth > 1:
                    self._put(value)
                if depth == DEEPEST:
                    raise TooDeep
                self._open.append(value)
                self._keys.append(None)
                continue
            elif depth > 1:
                self._put(value)
                continue
            self.count += 1
            yield self._keys[0], value

    def _put(self, value: Any) -> None:
        """Into the innermost list or mapping, which is within a record."""
        innermost = self._open[-1]
        if isinstance(innermost, list):
            innermost.append(value)
        else:
            innermost[self._keys[-1]] = value
