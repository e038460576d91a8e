"""Whether two trainings left the same behind: see ``benchmarks/soak/outcome.py`` for what is compared."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from sdar_cli.runs.store import RunFolder

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
try:
    from soak import outcome as parts
finally:
    sys.path.pop(0)


def outcome(run: RunFolder) -> dict[str, Any]:
    """All that a run left, its MLflow store being the runs folder's."""
    return parts.outcome(run, run.path.parent / "mlflow.db")


def assert_same(expected: dict[str, Any], got: dict[str, Any]) -> None:
    found = parts.difference(expected, got)
    assert found is None, found
