"""Checkpoints that are whole or absent: written beside, flushed, renamed, and only then counted."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

STATE_FILE = "sdar.json"
"""Inside a checkpoint: step and retrieval state. Its presence under the final name marks it complete."""


class CheckpointWriter:
    """Writes ``step-N`` folders under ``root`` and keeps the newest ``keep`` of them."""

    def __init__(self, root: Path, keep: int, state: Callable[[], dict]) -> None:
        self.root = root
        self.keep = keep
        self.state = state

    def folder(self, step: int) -> Path:
        return self.root / f"step-{step}"

    @contextmanager
    def staging(self, step: int) -> Iterator[Path]:
        """Yields ``…/checkpoint-N`` in a staging folder; on leaving without error it becomes ``step-N``."""
        parent = self.root / f".writing-{step}"
        shutil.rmtree(parent, ignore_errors=True)
        folder = parent / f"checkpoint-{step}"
        parent.mkdir(parents=True)
        yield folder
        (folder / STATE_FILE).write_text(json.dumps({"step": step} | self.state(), indent=2))
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                _flush(path)
        final = self.folder(step)
        if final.exists():
            shutil.rmtree(final)
        os.replace(folder, final)
        _flush(self.root)
        shutil.rmtree(parent, ignore_errors=True)
        self._rotate()

    def _rotate(self) -> None:
        for path in steps(self.root)[: -self.keep]:
            shutil.rmtree(path, ignore_errors=True)


def steps(root: Path) -> list[Path]:
    """Complete checkpoints under a folder, oldest first."""
    found = [p for p in root.glob("step-*") if (p / STATE_FILE).is_file() and p.name[5:].isdigit()]
    return sorted(found, key=lambda path: int(path.name[5:]))


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
