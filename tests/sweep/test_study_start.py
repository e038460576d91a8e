"""A study that is asked for: made, or found where it was made before."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sdar_cli.errors import StudyError
from sdar_cli.sweep.make import Wish, make_spec
from sdar_cli.sweep.start import open_or_create


def test_two_who_ask_for_one_study_at_once_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one MLflow run stands for it."""
    parents: list[str] = []

    def slow_parent(spec, root):
        parents.append(spec.name)
        time.sleep(0.2)
        return "sqlite:///x.db", "0" * 32

    monkeypatch.setattr("sdar_cli.sweep.publish.open_parent", slow_parent)
    made = make_spec(Wish("quickstart", ["distill.coef=0.1,0.2"], name="both"))
    with ThreadPoolExecutor(2) as pool:
        stores = list(pool.map(lambda _: open_or_create(made, tmp_path, None, lambda sentence: None), range(2)))
    assert parents == ["both"] and stores[0].spec == stores[1].spec


def test_a_runs_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    made = make_spec(Wish("quickstart", ["distill.coef=0.1,0.2"], name="study"))
    with pytest.raises(StudyError, match=r"runs/studies cannot be written \(.*\): give another folder with --runs"):
        open_or_create(made, tmp_path / "runs", None, lambda sentence: None)
