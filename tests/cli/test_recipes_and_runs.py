from __future__ import annotations

import json
from pathlib import Path

import pytest

from sdar_cli.cli.main import main
from sdar_cli.recipe.load import load_recipe, shipped_recipes
from sdar_cli.runs.store import RunFolder


def test_recipes_ls(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "ls"]) == 0
    table = capsys.readouterr().out
    assert all(name in table for name in shipped_recipes())
    assert main(["recipes", "ls", "--json"]) == 0
    assert [entry["name"] for entry in json.loads(capsys.readouterr().out)] == shipped_recipes()


def test_recipes_show(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["recipes", "show", "quickstart", "train.steps=3"]) == 0
    file = tmp_path / "shown.yaml"
    file.write_text(capsys.readouterr().out)
    assert load_recipe(str(file)).recipe == load_recipe("quickstart", overrides=["train.steps=3"]).recipe
    assert main(["recipes", "show", "quickstart", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["origins"]["seed"] == "default" and len(shown["digest"]) == 64


def test_recipes_cp(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["recipes", "cp", "quickstart"]) == 0
    assert load_recipe("./quickstart.yaml").recipe == load_recipe("quickstart").recipe
    assert main(["recipes", "cp", "quickstart"]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["recipes", "cp", "quickstart", "--force"]) == 0
    assert main(["recipes", "cp", "alfworld-qwen3-1.7b", "mine.yaml"]) == 0
    copied = load_recipe("mine.yaml", check_environment=False).recipe
    assert copied == load_recipe("alfworld-qwen3-1.7b", check_environment=False).recipe


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for second, name in enumerate(("first", "second")):
        run = RunFolder.create(tmp_path, load_recipe("quickstart"), name)
        run.update(started=1000.0 + second, status="finished", tracking_uri="http://me:hunter2@host:5000")
    return tmp_path


def test_runs_ls(capsys: pytest.CaptureFixture[str], root: Path) -> None:
    assert main(["runs", "ls", "--runs", str(root)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["run", "first", "second"]
    assert main(["runs", "ls", "--runs", str(root), "--json"]) == 0
    assert [entry["name"] for entry in json.loads(capsys.readouterr().out)] == ["first", "second"]


def test_runs_show_keeps_secrets(capsys: pytest.CaptureFixture[str], root: Path) -> None:
    for words in (["runs", "show"], ["runs", "show", "second", "--json"]):
        assert main([*words, "--runs", str(root)]) == 0
        out = capsys.readouterr().out
        assert "second" in out and "finished" in out
        assert "hunter2" not in out and "***@host:5000" in out


def test_the_runs_folder_comes_from_the_environment(
    capsys: pytest.CaptureFixture[str], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDAR_RUNS", str(root))
    assert main(["runs", "show", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "second"
