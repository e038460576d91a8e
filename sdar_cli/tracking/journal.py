"""``metrics.jsonl``: one line a step, appended; what a run keeps whatever happens to MLflow."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path


class Journal:
    """Append-only metrics of one run, ``{"step": 3, "rollout/success": 0.25, …}`` a line.

    Several lines of one step are merged, later values win: an evaluation adds to its step, and a step
    that is played again after ``resume`` replaces the earlier one.
    """

    def __init__(self, path: Path, *, fsync: bool = False) -> None:
        self.path = path
        self._fsync = fsync

    def append(self, step: int, values: Mapping[str, float]) -> None:
        """Add one line; a value that is not finite is written as null."""
        row = {name: float(value) if math.isfinite(value) else None for name, value in values.items()}
        self._write({"step": step, **row})

    def rewind(self, step: int) -> None:
        """Note that the run goes on from ``step``: lines of later steps before this one are void."""
        self._write({"rewind": step})

    def read(self) -> list[dict[str, float]]:
        """Rows by step, in order, each with ``step``; null becomes nan; a line cut by a kill is left out."""
        rows: dict[int, dict[str, float]] = {}
        if not self.path.exists():
            return []
        for line in self.path.read_bytes().split(b"\n"):
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if not isinstance(entry, dict):
                continue
            if "rewind" in entry:
                rows = {step: row for step, row in rows.items() if step <= entry["rewind"]}
            elif isinstance(entry.get("step"), int):
                values = {name: math.nan if value is None else value for name, value in entry.items()}
                rows.setdefault(entry["step"], {}).update(values)
        return [rows[step] for step in sorted(rows)]

    def _write(self, entry: Mapping[str, object]) -> None:
        line = json.dumps(entry, allow_nan=False).encode() + b"\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab+") as file:
            if file.tell() and self._last_byte(file) != b"\n":
                line = b"\n" + line
            file.write(line)
            file.flush()
            if self._fsync:
                os.fsync(file.fileno())

    @staticmethod
    def _last_byte(file) -> bytes:
        file.seek(-1, os.SEEK_END)
        return file.read(1)
