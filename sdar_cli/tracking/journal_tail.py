"""The end of a journal, for those who list thousands of runs and cannot read every line."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from sdar_cli.reading import Unreadable, open_regular
from sdar_cli.tracking.journal import numbers

TAIL = 1 << 16
"""Bytes that are read."""


def newest_rows(journal: Path, holding: bytes = b"") -> Iterator[dict[str, float]]:
    """The numbers of each line that holds some bytes, the newest first; what cannot be read is left out."""
    try:
        with open_regular(journal) as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL))
            lines = file.read(TAIL).split(b"\n")
    except (Unreadable, OSError):
        return
    for line in reversed(lines):
        if holding not in line:
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict):
            yield numbers(row)
