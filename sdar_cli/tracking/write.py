"""One write for MLflow, and how it stands in the spool: a line of JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sdar_cli.reading import Unreadable, read_bytes
from sdar_cli.tracking.known import Known


@dataclass(frozen=True, slots=True)
class Write:
    number: int
    kind: str
    at: int
    """Milliseconds since the epoch: the time that MLflow shows, whenever it is sent."""
    content: Mapping[str, Any]
    extra: Mapping[str, str] = field(default_factory=dict)
    """The key that it counts once by (``once``), or the key and the hash of what may be replaced (``key``, ``sum``)."""


def line(entry: Mapping[str, Any]) -> bytes:
    return json.dumps(entry, allow_nan=False).encode() + b"\n"


def head(run_id: str, following: int, known: Known) -> bytes:
    """The first line: of which run the file is, the number of the write that comes next, what is known."""
    return line({"spool": 1, "run": run_id, "next": following, "known": known.to_json()})


def parse(text: bytes) -> dict[str, Any] | None:
    """A line that was written here; None for any other, whatever it holds."""
    try:
        entry = json.loads(text)
        if "spool" in entry:
            return {**entry, "known": Known.from_json(entry["known"]), "next": int(entry["next"])}
        content = entry["content"]
        words = [entry["kind"], *(entry[name] for name in ("once", "key", "sum") if name in entry)]
        counts = [entry["n"], entry["at"]]
        if entry["kind"] == "metrics":
            words += content["values"]
            counts.append(content["step"])
        elif entry["kind"] == "traces":
            counts.append(content["bytes"])
        elif entry["kind"] == "tag":
            words += [content["key"], content["value"]]
        is_ours = ("key" in entry) == ("sum" in entry) and isinstance(content, dict)
        is_ours &= all(isinstance(word, str) for word in words) and all(type(count) is int for count in counts)
        return entry if is_ours else None
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return None


def write_at(descriptor: int, data: bytes, start: int) -> None:
    written = 0
    while written < len(data):
        written += os.pwrite(descriptor, data[written:], start + written)


def read_number(path: Path) -> int:
    try:
        return int(read_bytes(path, 64))
    except (Unreadable, ValueError):
        return 0
