"""Folders of runs for samples: two that are done, made once a process and copied from there."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "compare"))

import garbage_json as j
from harness import Make


@cache
def made() -> Path:
    """``a`` and ``b``, ``a`` with a report and a checkpoint's own state; their bytes are the same in every process."""
    from compare_runs import make_run

    folder = Path(tempfile.mkdtemp(prefix="garbage-runs-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for place, (name, won) in enumerate((("a", 0.6), ("b", 0.3))):
        make_run(folder, name, won=won, tasks=4, steps=4, every=0, started=1_700_000_000.0 + place)
    return folder


def lay(folder: Path) -> Path:
    """The runs in ``runs`` of a folder."""
    return Path(shutil.copytree(made(), folder / "runs"))


def tree(name: str) -> Any:
    """What a file of the runs holds."""
    return json.loads((made() / name).read_bytes())


def panel() -> dict[str, Any]:
    """A small panel's file, as plain data."""
    from sdar_cli.evaluation.panel import Panel

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "panel.json")
        ids, types = ("t/1", "t/2", "größer 🦊"), ("clean", "heat", "clean")
        Panel("household", "0" * 64, "test", 7, ids, types, {"things": 12, "style": "plain"}).save(file)
        return json.loads(file.read_bytes())


_REFUSED = ("cut", "encoding", "surrogate", "depth", "type", "number", "empty", "missing", "misspelt", "duplicate")
_ACCEPTED = ("spelling", "size", "link", "mark")


def later(sample: Callable[[], j.JsonSample], *more: str) -> tuple[dict[str, Make], dict[str, Make], dict[str, Make]]:
    """What ``garbage_json`` makes of a sample: refused, accepted, either; the sample is made by the first that runs."""

    def of(make: Callable[[j.JsonSample], dict[str, Make]], name: str) -> Make:
        return lambda folder, random: make(sample())[name](folder, random)

    return (
        {name: of(j.refused, name) for name in (*_REFUSED, *more, "mixed", "size", "place")},
        {name: of(j.accepted, name) for name in _ACCEPTED},
        {"flip": of(j.either, "flip")},
    )


def spread(path: Path) -> list[str]:
    """Names of what lies below a folder."""
    return sorted(os.path.relpath(one, path) for one in path.rglob("*"))
