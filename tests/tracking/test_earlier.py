"""A run that was begun by a version without a spool is resumed: what MLflow has of it is not sent again."""

from __future__ import annotations

import sqlite3
from collections import Counter
from pathlib import Path

import pytest

from sdar_cli.tracking.earlier import earlier
from sdar_cli.tracking.journal import Journal
from sdar_cli.tracking.spool import Spool
from sdar_cli.tracking.tracker import Tracker

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload``:DeprecationWarning")


def journal_of(folder: Path) -> Journal:
    """Of a run that was killed after step 12, went on from 8, and was killed after 10."""
    journal = Journal(folder / "metrics.jsonl")
    journal.append(0, {"eval/no_skills/success": 0.25})
    for step in (*range(1, 13), None, 9, 10):
        if step is None:
            journal.rewind(8)
        else:
            journal.append(step, {"loss/total": 1 / step, "odd(name)": 2.0, "never": float("nan")})
    return journal


def test_no_point_is_there_twice(tmp_path: Path, store: str) -> None:
    """The earlier version is played by writes at once, as it made them."""
    journal = journal_of(tmp_path)
    old = Tracker.start(store, "earlier", "old", "", {})
    for step, values in dict(journal.attempts()).items():
        old.metrics(step, values)
    old.close()
    new = Tracker.start(
        store, "", "", "", {}, run_id=old.run_id, spool=tmp_path / "tracking", before=lambda: earlier(journal.path, 0.0)
    )
    new.metrics(0, {"eval/no_skills/success": 0.25})
    for step in range(9, 16):
        new.metrics(step, {"loss/total": 1 / step, "odd(name)": 2.0, "never": 1.0})
    assert new.finish() == 0
    with sqlite3.connect(store.removeprefix("sqlite:///")) as database:
        found = database.execute("select key, step from metrics where run_uuid = ?", (old.run_id,)).fetchall()
    counts = Counter(found)
    assert set(counts.values()) == {1}
    assert {step for key, step in counts if key == "loss/total"} == set(range(1, 16))
    assert {step for key, step in counts if key == "never"} == set(range(9, 16)), "what was never finite is new"


def test_traces_and_the_load_of_the_machine_go_on_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "5")
    path = journal_of(tmp_path).path
    spool = Spool(tmp_path / "tracking", "ab" * 16, before=lambda: earlier(path, 1000.0, lambda: 1123.0))
    assert spool.next_system_step == 25, "a point each five seconds since it began, and no more"
    assert not spool.traces("traces/train/12", [{}]) and not spool.traces("traces/no_skills/0", [{}])
    assert spool.traces("traces/train/13", [{}]) and spool.traces("traces/no_skills/12", [{}])
    spool.close()

    def never() -> None:
        raise AssertionError

    again = Spool(tmp_path / "tracking", "ab" * 16, before=never)
    assert again.next_system_step == 25 and again.metrics(12, {"loss/total": 1.0}) == 0
    again.close()


def test_a_run_without_a_journal_had_measured_nothing(tmp_path: Path) -> None:
    assert earlier(tmp_path / "metrics.jsonl", 5.0, lambda: 5.0).fresh(1, ["a"]) == ["a"]
