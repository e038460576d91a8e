"""What a run that is over could not send: seen, kept, and sent by ``sdar runs send``."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from faults.each_step_once import assert_each_step_once

from sdar_cli.cli.main import main
from sdar_cli.recipe.load import load_recipe
from sdar_cli.runs.lock import RunLock
from sdar_cli.runs.remove import plan_runs
from sdar_cli.runs.store import RunFolder
from sdar_cli.tracking import leftover
from sdar_cli.tracking import sender as sender_module
from sdar_cli.tracking.delivery import Delivery
from sdar_cli.tracking.leftover import FOLDER, later, send, waiting
from sdar_cli.tracking.location import sqlite_uri
from sdar_cli.tracking.spool import Spool
from sdar_cli.tracking.tracker import Tracker

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload``:DeprecationWarning")


def test_it_waits_in_the_folder_until_it_is_sent(
    client, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], episode
) -> None:
    monkeypatch.setattr(sender_module, "LONGEST", 0.05)
    there, away = tmp_path / "mlflow.db", tmp_path / "away.db"
    shutil.copy(store.removeprefix("sqlite:///"), there)
    uri = sqlite_uri(there)
    run = RunFolder.create(tmp_path, load_recipe("quickstart"), "mine")
    tags = {"sdar.folder": str(run.path)}
    tracker = Tracker.start(uri, "leftover", "mine", "", {}, tags, spool=run.path / FOLDER)
    run.update(tracking_uri=uri, mlflow_run_id=tracker.run_id, status="finished", step=9)
    there.rename(away)
    for step in range(1, 10):
        tracker.metrics(step, {"loss/total": 1 / step})
    assert tracker.finish() == 10
    with later(run) as folder:
        evaluation = Tracker.start(uri, "", "", "", {}, run_id=tracker.run_id, spool=folder, salt="later")
        evaluation.episodes(9, [episode(0, True)], "no_skills")
        assert evaluation.finish() > 0
    waits = waiting(run)
    assert waits > 10

    def sdar(*words: str) -> tuple[int, str, str]:
        code = main(["runs", *words, "--runs", str(tmp_path)])
        return code, *capsys.readouterr()

    assert f"{waits} writes: sdar runs send mine" in sdar("show", "mine")[1]
    with run.lock():
        assert sdar("send", "mine")[0] == 2, "a run at work sends by itself"
    code, out, err = sdar("send", "mine", "--json")
    assert code == 1 and json.loads(out) == {"mine": {"sent": 0, "left": waits}} and "its file is not there" in err
    assert "Traceback" not in err and not there.exists()
    away.rename(there)
    code, out, _ = sdar("send", "--json")
    assert code == 0 and json.loads(out) == {"mine": {"sent": waits, "left": 0}}
    assert waiting(run) == 0 and not list((run.path / FOLDER).glob("evaluation-*"))
    assert "MLflow lacks" not in sdar("show", "mine")[1]
    assert "MLflow lacks nothing" in sdar("send")[2]
    assert_each_step_once(uri, run)


def test_a_run_that_was_never_tracked_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    RunFolder.create(tmp_path, load_recipe("quickstart"), "mine")
    assert main(["runs", "send", "mine", "--runs", str(tmp_path)]) == 2
    assert "has no MLflow run" in capsys.readouterr().err


def test_an_evaluation_at_work_sends_by_itself(
    client, store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], episode
) -> None:
    """Two that send from one folder would rewrite it under each other."""
    run = RunFolder.create(tmp_path, load_recipe("quickstart"), "mine")
    tracker = Tracker.start(store, "leftover", "mine", "", {}, spool=run.path / FOLDER)
    run.update(tracking_uri=store, mlflow_run_id=tracker.run_id, status="finished")
    assert tracker.finish() == 0
    with later(run) as folder:
        spool = Spool(folder, tracker.run_id)
        spool.metrics(3, {"a": 1.0})
        before = {file: file.read_bytes() for file in folder.iterdir() if file.is_file()}
        assert waiting(run) == 0
        assert main(["runs", "send", "mine", "--runs", str(tmp_path)]) == 0
        assert "an evaluation of mine is at work, and sends by itself" in capsys.readouterr().err
        assert {file: file.read_bytes() for file in folder.iterdir() if file.is_file()} == before
        assert spool.close() == 1
    assert waiting(run) == 1, "it was cut short"
    assert main(["runs", "send", "mine", "--runs", str(tmp_path)]) == 0
    assert waiting(run) == 0 and not folder.exists()


def test_what_is_put_aside_holds_up_no_evaluation(
    client, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That the store fails at a write for ever is that one's alone."""

    def fails(self: Delivery, content: object, write: object) -> None:
        raise ConnectionError("500 of a bug")

    monkeypatch.setattr(Delivery, "_send_version", fails)
    run = RunFolder.create(tmp_path, load_recipe("quickstart"), "mine")
    tracker = Tracker.start(store, "leftover", "mine", "", {}, spool=run.path / FOLDER)
    run.update(tracking_uri=store, mlflow_run_id=tracker.run_id, status="finished")
    assert tracker.finish() == 0
    late = Spool(run.path / FOLDER / "late", tracker.run_id)
    late.put("version", {"name": "a"}, key="version/1", once=True)
    late.close()
    with later(run) as folder:
        spool = Spool(folder, tracker.run_id)
        spool.metrics(3, {"a": 1.0})
        spool.close()
    assert waiting(run) == 2
    assert send(run, lambda text: None) == (1, 1)
    assert not folder.exists() and waiting(run) == 1


@pytest.mark.parametrize("when", ["listed", "asked for", "locked"])
def test_an_evaluation_that_is_done_meanwhile_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """It takes its folder away itself, at whichever instant."""
    run = RunFolder.create(tmp_path, load_recipe("quickstart"), "mine")
    run.update(tracking_uri="http://127.0.0.1:9", mlflow_run_id="ab" * 16)
    folder = run.path / FOLDER / "evaluation-0123"
    Spool(folder, "ab" * 16).close()
    (folder / "run.lock").touch()
    is_held, acquire = RunLock.is_held, RunLock.acquire

    def asked(self: RunLock) -> bool:
        if when == "asked for" and self.folder == folder:
            shutil.rmtree(folder, ignore_errors=True)
            return RunLock(folder)._open(os.O_RDONLY) == 0  # as it looked for the file before
        return is_held(self)

    def taken(self: RunLock) -> None:
        acquire(self)
        if when == "locked" and self.folder == folder:
            shutil.rmtree(folder)

    def listed(run: RunFolder) -> list[Path]:
        if when == "listed":
            shutil.rmtree(folder, ignore_errors=True)
        return [folder]

    monkeypatch.setattr(leftover, "_folders", listed)
    monkeypatch.setattr(RunLock, "is_held", asked)
    monkeypatch.setattr(RunLock, "acquire", taken)
    assert send(run, print) == (0, 0)
    assert waiting(run) == 0


def test_a_run_that_was_made_and_not_noted_is_removed_too(tmp_path: Path) -> None:
    """As a kill leaves it behind the making and before the next step."""
    run = RunFolder.create(tmp_path, load_recipe("quickstart"), "mine")
    run.update(tracking_uri="http://127.0.0.1:9")
    assert plan_runs([run.path], tmp_path).tracked == []
    spool = Spool(run.path / FOLDER, "")
    spool.metrics(1, {"a": 1.0})
    assert plan_runs([run.path], tmp_path).tracked == []
    spool.name_run("ab" * 16)
    assert plan_runs([run.path], tmp_path).tracked == [("http://127.0.0.1:9", "ab" * 16)]
    assert plan_runs([run.path], tmp_path, weights_only=True).tracked == []
