"""A run's file names the store that it went to, and may be anybody's: nothing is opened or sent there unasked."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

import sdar_cli
from sdar_cli.cli.main import main
from sdar_cli.recipe.load import load_recipe
from sdar_cli.runs.store import RunFolder
from sdar_cli.tracking.leftover import FOLDER
from sdar_cli.tracking.location import is_own, sqlite_uri
from sdar_cli.tracking.spool import Spool

ELSEWHERE = "http://elsewhere:5000"


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    run = RunFolder.create(tmp_path, load_recipe("quickstart"), "given")
    run.update(status="finished", tracking_uri=ELSEWHERE, mlflow_run_id="ab" * 16)
    return run


def test_the_page_of_a_store_elsewhere_is_asked_for(
    foreign: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("sdar_cli.tracking.landing.landing", lambda uri: pytest.fail("the store was asked"))
        assert main(["ui", "--runs", str(tmp_path)]) == 2
        said = capsys.readouterr()
        assert f"the newest run, given, names the MLflow store {ELSEWHERE}" in said.err and not said.out
        stdin = io.StringIO("n\n")
        stdin.isatty = lambda: True
        patch.setattr("sys.stdin", stdin)
        assert main(["ui", "--runs", str(tmp_path)]) == 1
        foreign.update(tracking_uri="sqlite:////srv/somebody/mlflow.db")
        patch.setattr("sys.stdin", io.StringIO())
        assert main(["ui", "--runs", str(tmp_path)]) == 2
        foreign.update(tracking_uri=ELSEWHERE)
    monkeypatch.setattr("sdar_cli.tracking.landing.landing", lambda uri: uri)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", ELSEWHERE)
    capsys.readouterr()
    assert main(["ui", "--runs", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{ELSEWHERE}\n"


def test_a_question_sends_no_command_to_the_terminal(
    foreign: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign.update(tracking_uri="http://evil/\x1b[2K\rRemove what is safe")
    for words in (["ui"], ["runs", "rm", "given"]):
        stdin = io.StringIO("n\n")
        stdin.isatty = lambda: True
        monkeypatch.setattr("sys.stdin", stdin)
        assert main([*words, "--runs", str(tmp_path)]) == 1
        said = capsys.readouterr()
        assert "⟨U+001B⟩[2K" in said.err and not {"\x1b", "\r"} & set(said.err + said.out)


def test_all_questions_are_asked_in_one_place() -> None:
    package = Path(sdar_cli.__file__).parent
    asking = [file.name for file in package.rglob("*.py") if "typer.confirm(" in file.read_text(encoding="utf-8")]
    assert asking == ["render.py"]


def test_what_waits_goes_elsewhere_only_by_the_runs_name(
    foreign: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spool = Spool(foreign.path / FOLDER, "ab" * 16)
    spool.metrics(1, {"a": 1.0})
    spool.close()
    with monkeypatch.context() as patch:
        patch.setattr("sdar_cli.tracking.leftover.send", lambda run, say: pytest.fail("it was sent"))
        assert main(["runs", "send", "--json", "--runs", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert json.loads(said.out) == {"given": {"sent": 0, "left": 1}}
    assert f"the MLflow store {ELSEWHERE} of given is not that of this folder" in said.err
    monkeypatch.setattr("sdar_cli.tracking.leftover.send", lambda run, say: (1, 0))
    assert main(["runs", "send", "given", "--runs", str(tmp_path)]) == 0
    assert f"lacks of given to {ELSEWHERE}" in capsys.readouterr().err


def test_whose_a_store_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert is_own(sqlite_uri(tmp_path / "mlflow.db"), tmp_path) and is_own(sqlite_uri(tmp_path / "a/b.db"), tmp_path)
    for uri in (ELSEWHERE, sqlite_uri(tmp_path / ".." / "mlflow.db"), "postgresql://host/x", "file:///tmp"):
        assert not is_own(uri, tmp_path)
    (tmp_path / "loop.db").symlink_to("loop.db")
    for path in (tmp_path / "a\0b", tmp_path / "loop.db", tmp_path / ("a" * 5000)):
        assert is_own(f"sqlite:///{path}", tmp_path) is (path.name == "loop.db" or "a" * 9 in path.name)
    assert not is_own("sqlite:////a\0b", tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:hush@host/x")
    assert is_own("postgresql://***@host/x", tmp_path) and not is_own(ELSEWHERE, tmp_path)
