"""A SQLite store that another process has: waited for, and not for ever."""

from __future__ import annotations

import fcntl
import threading
import time
from pathlib import Path

import pytest

from sdar_cli.errors import RunFailed
from sdar_cli.tracking import experiment, outbox
from sdar_cli.tracking.experiment import opening
from sdar_cli.tracking.location import sqlite_uri
from sdar_cli.tracking.outbox import Spooled
from sdar_cli.tracking.tracker import Tracker

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload``:DeprecationWarning")


def held(file: Path):
    lock = file.with_name(f".{file.name}.lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def test_it_is_had_when_the_other_lets_go(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    lock = held(file)
    threading.Timer(0.2, lock.close).start()
    began = time.monotonic()
    with opening(sqlite_uri(file)):
        assert time.monotonic() - began >= 0.15
    with opening(sqlite_uri(file), 0.0):
        pass


def test_a_first_start_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiment, "LAYOUT", 0.2)
    with held(tmp_path / "mlflow.db"), pytest.raises(RunFailed, match=r"another process has held .*mlflow.db.lock for"):
        Tracker.start(sqlite_uri(tmp_path / "mlflow.db"), "e", "r", "", {}, spool=tmp_path / "run" / "tracking")


def test_a_run_goes_on_without(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiment, "LAYOUT", 0.2)
    monkeypatch.setattr(outbox, "OPENING", 0.2)
    first = Tracker.start(store, "e", "r", "", {}, spool=tmp_path / "tracking")
    assert first.finish() == 0
    with held(Path(store.removeprefix("sqlite:///"))):
        again = Tracker.start(store, "e", "r", "", {}, run_id=first.run_id, spool=tmp_path / "tracking")
        again.metrics(1, {"a": 1.0})
    assert again.finish() == 0


@pytest.mark.parametrize(
    ("code", "status", "word"), [("UNAUTHENTICATED", 401, "takes nothing yet"), (None, 0, "does not answer")]
)
def test_a_server_that_asks_who_we_are_did_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str | None, status: int, word: str
) -> None:
    from mlflow.exceptions import MlflowException, RestException

    error = MlflowException("no route") if code is None else RestException({"error_code": code, "message": "who"})
    assert code is None or error.get_http_status_code() == status
    said: list[str] = []
    waits = Spooled(tmp_path, "http://127.0.0.1:9", "", said.append, home=tmp_path)
    monkeypatch.setattr(waits._sender, "wait_for_first", lambda seconds: error)
    assert waits.wait_for_run() is None
    assert said[0].startswith(f"the MLflow store http://127.0.0.1:9 {word} (") and len(said) == 1
