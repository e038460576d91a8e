"""What a run has put down for MLflow already: small enough to be kept when the writes themselves are gone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Self

REPLAYED = "sdar.replayed"
"""Tag: the steps that were played again after a restart, of which MLflow holds the first attempt."""
LONGEST = 10**7
"""Steps in a row that are believed."""


class Known:
    """Metrics by name and step, keys that count once, and the last content of what may be replaced."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}
        self._steps: dict[int, int] = {}
        """Step → a bit for each name, at its place."""
        self.once: set[str] = set()
        self.last: dict[str, str] = {}
        self.replayed: set[int] = set()
        """Steps that came again after a restart."""

    def fresh(self, step: int, names: Iterable[str]) -> list[str]:
        """Those names that have no value at this step yet."""
        bits = self._steps.get(step, 0)
        return [name for name in names if (place := self._places.get(name)) is None or not bits >> place & 1]

    def add(self, step: int, names: Iterable[str]) -> None:
        bits = self._steps.get(step, 0)
        for name in names:
            bits |= 1 << self._places.setdefault(name, len(self._places))
        self._steps[step] = bits

    def enter(self, entry: Mapping[str, Any]) -> None:
        """What a line of the spool says."""
        kind, content = entry["kind"], entry["content"]
        if kind == "metrics":
            self.add(content["step"], content["values"])
        elif kind == "tag" and content["key"] == REPLAYED:
            self.replayed = numbers(content["value"])
        if "once" in entry:
            self.once.add(entry["once"])
        elif "key" in entry:
            self.last[entry["key"]] = entry["sum"]

    def next_step(self, prefix: str) -> int:
        """The step after the last one at which a name of this beginning has a value; 0 where none has."""
        wanted = sum(1 << place for name, place in self._places.items() if name.startswith(prefix))
        return 1 + max((step for step, bits in self._steps.items() if bits & wanted), default=-1)

    def to_json(self) -> dict[str, Any]:
        """Steps in a row that have the same names are one entry, so that it stays small in a run of many."""
        rows: list[list[Any]] = []
        for step in sorted(self._steps):
            bits = f"{self._steps[step]:x}"
            if rows and rows[-1][0] == bits and rows[-1][2] == step - 1:
                rows[-1][2] = step
            else:
                rows.append([bits, step, step])
        return {
            "names": list(self._places),
            "steps": rows,
            "once": sorted(self.once),
            "last": self.last,
            "replayed": ranges(self.replayed),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Raises ValueError, TypeError or LookupError for what ``to_json`` did not write."""
        known = cls()
        known._places = {str(name): place for place, name in enumerate(value["names"])}
        for bits, first, last in value["steps"]:
            if not 0 <= last - first <= LONGEST:
                raise ValueError("no steps in a row")
            known._steps |= dict.fromkeys(range(first, last + 1), int(bits, 16))
        known.once, known.last = set(value["once"]), dict(value["last"])
        known.replayed = numbers(value["replayed"])
        return known


def ranges(steps: Iterable[int]) -> str:
    """``41-47, 90``: steps as people write them."""
    rows: list[list[int]] = []
    for step in sorted(steps):
        if rows and rows[-1][1] == step - 1:
            rows[-1][1] = step
        else:
            rows.append([step, step])
    return ", ".join(f"{first}" if first == last else f"{first}-{last}" for first, last in rows)


def numbers(text: str) -> set[int]:
    """The steps that ``ranges`` wrote; nothing of what it did not write."""
    found: set[int] = set()
    for match in re.finditer(r"(\d{1,9})(?:-(\d{1,9}))?", text):
        first, last = int(match[1]), int(match[2] or match[1])
        found |= set(range(first, min(last, first + LONGEST) + 1))
    return found
