"""One write for MLflow, and how it stands in the spool: a line of JSON."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sdar_cli.reading import Unreadable, read_bytes
from sdar_cli.tracking.known import Known

_LARGEST = 1 << 63


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
            is_ours = isinstance(entry["run"], str) and _is_count(entry["next"])
            return {**entry, "known": Known.from_json(entry["known"])} if is_ours else None
        content = entry["content"]
        words = [entry["kind"], *(entry[name] for name in ("once", "key", "sum") if name in entry)]
        counts = [entry["n"], entry["at"]]
        if entry["kind"] == "metrics":
            words += content["values"].keys()
            counts.append(content["step"])
            if not all(type(value) in (int, float) for value in content["values"].values()):
                return None
        elif entry["kind"] == "traces":
            counts.append(content["bytes"])
        elif entry["kind"] == "tag":
            words += [content["key"], content["value"]]
        is_ours = ("key" in entry) == ("sum" in entry) and isinstance(content, dict)
        is_ours &= all(isinstance(word, str) for word in words) and all(map(_is_count, counts))
        return entry if is_ours else None
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError):
        return None


def read(text: bytes) -> Write | None:
    """The write of such a line."""
    entry = parse(text)
    if entry is None or "n" not in entry:
        return None
    extra = {name: entry[name] for name in ("once", "key", "sum") if name in entry}
    return Write(entry["n"], entry["kind"], entry["at"], entry["content"], extra)


def digest(kind: str, content: Mapping[str, Any]) -> str:
    """Tells what is put down under a key from what was put down there before."""
    return hashlib.sha256(json.dumps([kind, content]).encode()).hexdigest()[:16]


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < _LARGEST


def write_at(descriptor: int, data: bytes, start: int) -> None:
    written = 0
    while written < len(data):
        written += os.pwrite(descriptor, data[written:], start + written)


def read_number(path: Path) -> int:
    try:
        return int(read_bytes(path, 64))
    except (Unreadable, ValueError):
        return 0
