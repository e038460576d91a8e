"""A training killed between the making of its MLflow run and the note of it in run.json has one MLflow run still."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sdar_cli.tracking.tracker import Tracker

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload``:DeprecationWarning")


def start(store: str, folder: Path, **options) -> Tracker:
    tags = {"sdar.folder": str(folder)}
    return Tracker.start(store, "orphans", folder.name, "seed: 0\n", {"seed": 0}, tags, **options)


def make(folder: Path, started: float) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "run.json").write_text(json.dumps({"started": started}))
    return folder


def test_a_run_that_was_never_noted_is_gone_on_with(store: str, tmp_path: Path) -> None:
    folder = make(tmp_path / "run", 1000.25)
    first = start(store, folder)
    second = start(store, folder)
    assert second.run_id == first.run_id
    second.finish()


def test_an_earlier_folder_of_the_same_name_is_another_run(store: str, tmp_path: Path) -> None:
    first = start(store, make(tmp_path / "run", 2000.25))
    second = start(store, make(tmp_path / "run", 2000.5))
    assert second.run_id != first.run_id


def test_two_folders_of_one_instant_are_two_runs(store: str, tmp_path: Path) -> None:
    first = start(store, make(tmp_path / "one", 3000.5))
    second = start(store, make(tmp_path / "two", 3000.5))
    assert second.run_id != first.run_id


def test_what_has_no_run_folder_is_always_new(store: str, tmp_path: Path) -> None:
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "run.json").write_text("{")
    for folder in (tmp_path / "absent", tmp_path / "damaged"):
        assert start(store, folder).run_id != start(store, folder).run_id
