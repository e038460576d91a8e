"""What a kill left in a run's folder goes; what somebody may still want, or work on, stays."""

from __future__ import annotations

import os
import time
from pathlib import Path

from sdar_cli.runs.leftovers import QUIET, sweep

PARTS = (
    ".base-7",
    ".base.writing",
    ".base-mergingabc",
    ".base-removed-7",
    "failure/.step-5-7",
    "failure/.step-5-removed-7",
)
KEPT = (".torn-base", ".torn-base-2", "failure/step-5", "failure/.hidden", ".mine", "base", ".basement-7")


def test_parts_of_folders(tmp_path: Path) -> None:
    """What was found damaged and set aside is kept: it tells which base the checkpoints are of."""
    for name in (*PARTS, *KEPT):
        (tmp_path / name / "model").mkdir(parents=True)
        (tmp_path / name / "model" / "model.safetensors").write_bytes(b"w")
    sweep(tmp_path)
    assert [name for name in PARTS if (tmp_path / name).exists()] == []
    assert [name for name in KEPT if not (tmp_path / name / "model" / "model.safetensors").exists()] == []


def test_parts_of_files(tmp_path: Path) -> None:
    (tmp_path / "evaluations").mkdir()
    parts = [tmp_path / ".run.json.abcd_123", tmp_path / "evaluations" / ".base.json.abcd1234"]
    young, whole = tmp_path / "evaluations" / ".end.json.abcd1234", tmp_path / "evaluations" / "end.json"
    for path in (*parts, young, whole):
        path.write_text("{")
    long_ago = time.time() - 2 * QUIET
    os.utime(parts[1], (long_ago, long_ago))
    sweep(tmp_path)
    assert [path.exists() for path in (*parts, young, whole)] == [False, False, True, True]
