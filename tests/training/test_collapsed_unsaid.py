"""A run of status ``collapsed`` whose ``run.json`` does not say why: one sentence, whoever asks."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sdar_cli.cli.main import main
from sdar_cli.recipe.load import load_recipe
from sdar_cli.runs.store import RunFolder
from sdar_cli.training import auto_resume


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    made = RunFolder.create(tmp_path, load_recipe("quickstart"), "mine")
    made.update(status="collapsed")
    return made


def test_resume(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resume", "mine", "--runs", str(run.path.parent)]) == 2
    said = capsys.readouterr().err
    assert "says that the run collapsed, and not why" in said and "bug" not in said and said.count("\n") == 1


def test_show(run: RunFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``--auto-resume`` does with a run that is over."""

    def load(file: Path) -> Any:
        return SimpleNamespace()

    monkeypatch.setattr(auto_resume.Evaluation, "load", load)
    monkeypatch.setattr(auto_resume.InternalisationReport, "build", lambda *cells, flagged: None)
    words = ["train", "--recipe", "quickstart", "--auto-resume", "--name", "mine", "--runs", str(run.path.parent)]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "says that the run collapsed, and not why" in said and "bug" not in said
