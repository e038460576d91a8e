"""The proof that takes minutes is still a program: its study is made, and has the runs that it counts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
def test_the_study_that_is_killed_has_twenty_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])
    import sweep_kills

    store = sweep_kills.make("quiet", tmp_path / "runs")
    view = store.view()
    assert len(view.runs) == view.total_runs == 20
    assert {run.state for run in view.runs} == {"waiting"}
