"""What a database says of a study is looked at before it is believed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from study_tools import spec_of

from sdar_cli.errors import StudyError
from sdar_cli.sweep.claims import Claimant
from sdar_cli.sweep.store import StudyStore


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("spec", "{"),
        ("spec", "[" * 100_000),
        ("spec", '{"name": "study"}'),
        ("spec", 7),
        ("created", "yesterday"),
        ("created", 1e18),
    ],
)
def test_a_study_of_a_database_whose_attributes_are_none(tmp_path: Path, key: str, value: Any) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    store = StudyStore.create(spec_of(), tmp_path / "here", url)
    store._storage.set_study_user_attr(store._cells_id, key, value)
    with pytest.raises(StudyError, match=r"is damaged.*: restore"):
        StudyStore.open("study", tmp_path / "elsewhere", url)
    assert not (tmp_path / "elsewhere" / "studies" / "study" / "study.json").exists()


@pytest.mark.parametrize(("key", "value"), [("pause", 5), ("forgiven", "all"), ("forgiven", [[]])])
def test_orders_that_nobody_gives(tmp_path: Path, key: str, value: Any) -> None:
    store = StudyStore.create(spec_of(), tmp_path)
    store._storage.set_study_user_attr(store._runs_id if key == "forgiven" else store._cells_id, key, value)
    with pytest.raises(StudyError, match=r"journal\.log is damaged \(.*\): restore it from a copy"):
        StudyStore.open("study", tmp_path)


def test_an_attempt_without_its_worker(tmp_path: Path) -> None:
    store = StudyStore.create(spec_of(), tmp_path)
    entry = store.ledger.claim(0, 0, Claimant.here())
    assert entry is not None
    store._storage.set_trial_user_attr(entry.trial, "pid", "one")
    with pytest.raises(StudyError, match=r"journal\.log is damaged \(trial 0 of its runs has no pid\): restore it"):
        StudyStore.open("study", tmp_path)
