"""Runs of others: whatever lies in one folder, the others are listed and found, and nothing is used unasked."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sdar_cli.cli.main import main
from sdar_cli.errors import RunError, UserError
from sdar_cli.recipe.load import ResolvedRecipe
from sdar_cli.rollout.episode import Episode, Turn
from sdar_cli.rollout.recorded import read_rollouts
from sdar_cli.rollout.replay import append_rollout
from sdar_cli.runs.listing import list_all
from sdar_cli.runs.resolve import resolve_run
from sdar_cli.runs.store import RunFolder
from sdar_cli.tracking.journal import Journal
from sdar_envs.base import Task

Damage = Callable[[Path], object]


def change(**values: Any) -> Damage:
    return lambda file: file.write_text(json.dumps(json.loads(file.read_text()) | values))


def pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


DAMAGE: dict[str, Damage] = {
    "a pipe": pipe,
    "a tower": lambda file: file.write_text("[" * 100_000),
    "ten gigabytes": lambda file: os.truncate(file, 10 << 30),
    "a moment that no calendar has": change(started=1e18),
    "no moment at all": lambda file: file.write_text(
        file.read_text().replace('"started": ', '"started": 1e400, "x": ')
    ),
    "NaN": lambda file: file.write_text(file.read_text().replace('"started": ', '"started": NaN, "x": ')),
    "four hundred digits": lambda file: file.write_text(
        file.read_text().replace('"started": ', f'"started": 1{"0" * 400}, "x": ')
    ),
    "settings of words": change(settings="none"),
    "a list": lambda file: file.write_text("[]"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_run_takes_no_other_down(
    tmp_path: Path, resolved: ResolvedRecipe, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    good, bad = (RunFolder.create(tmp_path, resolved, name) for name in ("good", "bad"))
    DAMAGE[damage](bad.path / "run.json")
    assert [run.name for run in list_all(tmp_path)] == ["good"]
    assert resolve_run("latest", tmp_path) == good and resolve_run("goo", tmp_path) == good
    with pytest.raises(RunError, match=r"bad/run\.json is damaged \(it .*\): restore it, or remove the folder"):
        resolve_run("bad", tmp_path)
    assert main(["runs", "ls", "--runs", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert "good" in out and err == "left out, as run.json is damaged: bad\n"


@pytest.mark.parametrize("name", ["run.lock", "metrics.jsonl", "recipe.yaml"])
def test_a_pipe_in_a_runs_folder_is_not_waited_for(tmp_path: Path, resolved: ResolvedRecipe, name: str) -> None:
    run = RunFolder.create(tmp_path, resolved, "a")
    change(settings={})(run.path / "run.json")
    (run.path / name).unlink(missing_ok=True)
    os.mkfifo(run.path / name)
    assert [found.name for found in list_all(tmp_path)] == ["a"]
    assert run.status == "lost"


def test_a_journal_of_any_size_is_read_or_refused(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "metrics.jsonl")
    journal.append(1, {"loss": 0.5})
    with journal.path.open("ab") as file:
        file.write(b" " * (5 << 20) + b'{"step": 9}\n')
    journal.append(2, {"loss": 0.25})
    assert [row["step"] for row in journal.read()] == [1, 2], "a line of five megabytes is none of ours"
    os.truncate(journal.path, 10 << 30)
    with pytest.raises(RunError, match=r"metrics\.jsonl is larger than 1 GiB: restore it, or move it away"):
        journal.read()


@pytest.mark.parametrize("keep", [False, True])
def test_removing_names_the_store_that_a_run_names(
    tmp_path: Path,
    resolved: ResolvedRecipe,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    keep: bool,
) -> None:
    """What stands in the file of somebody's run is not used before the question was answered."""
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setattr("sdar_cli.runs.remove.forget", lambda tracked: pytest.fail("the store was used"))
    run = RunFolder.create(tmp_path, resolved, "a")
    run.update(status="finished", tracking_uri="http://elsewhere:5000", mlflow_run_id="ab" * 16)
    assert main(["runs", "rm", "a", "--runs", str(tmp_path), *["--keep-tracking"] * keep]) == 2
    said = capsys.readouterr().err
    assert ("and what the MLflow store http://elsewhere:5000 shows of it" in said) != keep
    assert run.path.is_dir()


def recorded(path: Path, token: int) -> Path:
    episode = Episode(Task("t", "type"), "goal", 0, 0)
    episode.turns = [Turn(0, [1, 2], None, [token], None, "", "", "x", None, "", 1.0)]
    append_rollout(path, 0, [episode])
    return path


def test_a_token_that_the_model_lacks_is_a_sentence(tmp_path: Path) -> None:
    path = recorded(tmp_path / "r.jsonl", 500)
    assert read_rollouts(path, 501)
    with pytest.raises(UserError, match=r"line 1, is no recorded episode \(turn 0 holds the token 500, and the model"):
        read_rollouts(path, 500)


def test_what_is_no_file_is_not_recorded_into(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    with pytest.raises(UserError, match=r"pipe\.jsonl"):
        recorded(tmp_path / "pipe.jsonl", 3)
    (tmp_path / "zero.jsonl").symlink_to("/dev/zero")
    with pytest.raises(UserError, match=r"zero\.jsonl"):
        recorded(tmp_path / "zero.jsonl", 3)
