"""Values of JSON that every reader understands alike: no key twice, no half of a character, numbers within 64 bits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sdar_cli.unreadable import Unreadable

_LARGEST = 1 << 63


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of these; Unreadable where one comes twice."""
    value = dict(pairs)
    if len(value) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))
        raise Unreadable(f"has the key {_short(twice)} twice")
    return value


def _constant(name: str) -> None:
    raise Unreadable(f"holds {name}, which is not a number of JSON")


def _whole_number(text: str) -> int | str:
    return int(text) if len(text) < 21 and -_LARGEST <= int(text) < _LARGEST else text


def _number(text: str) -> float | str:
    return number if math.isfinite(number := float(text)) else text


ANY_NUMBERS: Mapping[str, Any] = {"parse_constant": str, "parse_int": _whole_number, "parse_float": _number}
"""How ``json`` reads numbers of any size: as their text, where they are none of JSON's."""
NUMBERS: Mapping[str, Any] = {"parse_constant": _constant}
"""And otherwise."""


def check_values(value: Any, depth: int) -> None:
    """Look at every value; iterative, so that no depth matters. Raises Unreadable."""
    waiting = [(value, 0)]
    while waiting:
        item, level = waiting.pop()
        if isinstance(item, str):
            try:
                item.encode()
            except UnicodeEncodeError:
                raise Unreadable(f"holds half of a surrogate pair in {_short(item)}") from None
        elif isinstance(item, float):
            if not math.isfinite(item):
                raise Unreadable("holds a number that is too large")
        elif isinstance(item, int):
            if not -_LARGEST <= item < _LARGEST:
                raise Unreadable("holds a number that is too large")
        elif isinstance(item, (dict, list)):
            if level >= depth:
                raise Unreadable(f"is nested deeper than {depth} levels")
            parts = [*item, *item.values()] if isinstance(item, dict) else item
            waiting += ((part, level + 1) for part in parts)


def _short(text: str) -> str:
    return ascii(text if len(text) <= 40 else text[:39] + "…")
