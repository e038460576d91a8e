"""Halves of surrogate pairs in a JSON text: parsers leave them in, drop them or write a question mark for them, and
none of it can be stored."""

from __future__ import annotations

import re

_HARMLESS = re.compile(rb"(?:[^\\]++|\\(?:[^u]|u[^dD]|u[dD][^89a-fA-F]))*+")
_PAIR = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_LONGEST = 12
"""Bytes of a pair."""


class HalfCharacters:
    """Looks through a text that comes in pieces; every backslash begins an escape, as in JSON."""

    def __init__(self) -> None:
        self._rest = b""

    def find(self, piece: bytes) -> str:
        """The first half that is certain by now, as it is written; empty for none. An empty piece ends the text."""
        text, place = self._rest + piece, 0
        while True:
            place = _HARMLESS.match(text, place).end()  # type: ignore[union-attr]  # matches nothing at least
            if place == len(text) or (piece and len(text) - place < _LONGEST):
                self._rest = text[place:]
                return ""
            pair = _PAIR.match(text, place)
            if pair is None:
                return ascii(text[place : place + 6].decode("ascii", "replace"))[1:-1].replace("\\\\", "\\")
            place = pair.end()
