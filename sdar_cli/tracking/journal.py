"""``metrics.jsonl``: one line a step, appended; what a run keeps whatever happens to MLflow."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from sdar_cli.errors import RunError
from sdar_cli.reading import Missing, Unreadable, open_regular, size
from sdar_cli.runs.disk import disk, sync_file, sync_folder

LARGEST = 1 << 30
"""Bytes of a journal; a million steps take less."""
LONGEST = 1 << 20
"""Bytes of a line; what is longer is none of ours."""
_LARGEST = 1 << 63


class Journal:
    """Append-only metrics of one run, ``{"step": 3, "rollout/success": 0.25, …}`` a line.

    Several lines of one step are merged, later values win: an evaluation adds to its step, and a step
    that is played again after ``resume`` replaces the earlier one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, step: int, values: Mapping[str, float]) -> None:
        """Add one line; a value that is not finite is written as null.

        Raises:
            RunFailed: the disk is full.
        """
        row = {name: float(value) if math.isfinite(value) else None for name, value in values.items()}
        self._write({"step": step, **row})

    def rewind(self, step: int) -> None:
        """Note that the run goes on from ``step``: lines of later steps before this one are void."""
        self._write({"rewind": step})

    def sync(self) -> None:
        """Put what was appended on the disk: whatever is written there next never stands without it."""
        if self.path.exists():
            with disk(self.path.parent, self.path.name):
                sync_file(self.path)
                sync_folder(self.path.parent)

    def holds(self, step: int, values: Mapping[str, float]) -> bool:
        """Whether these values of a step can be read here."""
        row = next((row for row in self.read(values) if row["step"] == step), {})
        return all(name in row and _same(row[name], float(value)) for name, value in values.items())

    def read(self, names: Collection[str] = ()) -> list[dict[str, float]]:
        """Rows by step, in order, each with ``step``; null becomes nan.

        A line that was cut, by a kill or by a machine that went down, or that somebody else wrote there is left out.

        Args:
            names: only these values, of the steps that have one of them; lines without them cost next to nothing.

        Raises:
            RunError: the file cannot be read at all.
        """
        rows: dict[int, dict[str, float]] = {}
        for entry in self._entries(("rewind", *names) if names else ()):
            if (rewound := _count(entry, "rewind")) is not None:
                rows = {step: row for step, row in rows.items() if step <= rewound}
            elif (step := _count(entry, "step")) is not None:
                found = numbers(entry)
                if names:
                    found = {name: value for name, value in found.items() if name in names}
                if found:
                    rows.setdefault(step, {"step": step}).update(found)
        return [rows[step] for step in sorted(rows)]

    def attempts(self) -> Iterator[tuple[int, dict[str, float]]]:
        """Each line's step and numbers as they were written, those of steps that were taken back since included.

        Raises:
            RunError: the file cannot be read at all.
        """
        for entry in self._entries():
            if (step := _count(entry, "step")) is not None:
                yield step, {name: value for name, value in numbers(entry).items() if name != "step"}

    def _entries(self, keys: Collection[str] = ()) -> Iterator[dict[str, Any]]:
        """Those with one of the keys, and maybe others; without keys all."""
        written = [json.dumps(key).encode() for key in keys]
        try:
            with open_regular(self.path) as file:
                if os.fstat(file.fileno()).st_size > LARGEST:
                    raise Unreadable(f"is larger than {size(LARGEST)}")
                for line in lines(file):
                    # Somebody else may have escaped more than ``json.dumps`` does.
                    if written and b"\\" not in line and not any(key in line for key in written):
                        continue
                    try:
                        entry = json.loads(line)
                    except (ValueError, RecursionError):
                        continue
                    if isinstance(entry, dict):
                        yield entry
        except Missing:
            return
        except (Unreadable, OSError) as error:
            reason = f"cannot be read ({error.strerror})" if isinstance(error, OSError) else error
            raise RunError(f"{self.path} {reason}: restore it, or move it away") from None

    def _write(self, entry: Mapping[str, object]) -> None:
        line = json.dumps(entry, allow_nan=False).encode() + b"\n"
        with disk(self.path.parent, self.path.name):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab+") as file:
                if file.tell() and self._last_byte(file) != b"\n":
                    line = b"\n" + line
                file.write(line)

    @staticmethod
    def _last_byte(file) -> bytes:
        file.seek(-1, os.SEEK_END)
        return file.read(1)


def lines(file: BinaryIO) -> Iterator[bytes]:
    """Each line but those that are too long."""
    too_long = False
    while line := file.readline(LONGEST):
        ended = line.endswith(b"\n")
        if not too_long and (ended or len(line) < LONGEST):
            yield line
        too_long = not ended


def _count(entry: Mapping[str, Any], key: str) -> int | None:
    value = entry.get(key)
    return value if type(value) is int and 0 <= value < _LARGEST else None


def numbers(entry: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a line; what is neither a number nor null is left out."""
    return {name: math.nan if value is None else value for name, value in entry.items() if _is_number(value)}


def _is_number(value: object) -> bool:
    if type(value) is float:
        return math.isfinite(value)
    return value is None or (type(value) is int and -_LARGEST <= value < _LARGEST)


def _same(first: float, second: float) -> bool:
    return first == second or not (math.isfinite(first) or math.isfinite(second))
