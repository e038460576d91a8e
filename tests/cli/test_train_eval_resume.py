"""``train``, ``eval`` and ``resume`` parse, call and print; what they call is a stand-in here."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from sdar_cli.cli.main import main
from sdar_cli.recipe.load import load_recipe
from sdar_cli.runs.resolve import ModelFolder
from sdar_cli.runs.store import RunFolder


@dataclass
class Report:
    def render(self, console: Any) -> None:
        console.print("THE TABLE")


@dataclass
class Result:
    run: RunFolder | None
    report: Report | None
    target: str = "some"
    checkpoint: str = "step-5"
    warnings: tuple[Any, ...] = ()
    collapse: None = None

    def to_json(self) -> dict[str, str]:
        return {"target": self.target}


class Calls:
    """Records how the stand-ins were called."""

    def __init__(self) -> None:
        self.made: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        self.interrupted = False

    def __call__(self, *arguments: Any, **options: Any) -> Result:
        print("chatter of a library")
        options["display"].message("talk")
        self.made.append((arguments, options))
        return Result(self.run, None if self.interrupted else Report())

    run: RunFolder


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Calls:
    calls = Calls()
    calls.run = RunFolder.create(tmp_path / "runs", load_recipe("quickstart"), "mine")
    training, evaluation = ModuleType("sdar_cli.training.run"), ModuleType("sdar_cli.evaluation.evaluate")
    training.train = training.resume = evaluation.evaluate_run = calls  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sdar_cli.training.run", training)
    monkeypatch.setitem(sys.modules, "sdar_cli.evaluation.evaluate", evaluation)
    monkeypatch.setenv("SDAR_RUNS", str(tmp_path / "runs"))
    return calls


def test_train(capsys: pytest.CaptureFixture[str], calls: Calls, tmp_path: Path) -> None:
    words = [
        "train",
        "gate.beta=2",
        "--recipe",
        "quickstart",
        "--seed",
        "3",
        "--name",
        "n",
        "--method",
        "opsd",
    ]
    assert main([*words, "--tracking-uri", "http://host", "train.steps=4"]) == 0
    (resolved,), options = calls.made[0]
    recipe = resolved.recipe
    assert (recipe.gate.beta, recipe.seed, recipe.train.steps, recipe.method) == (2.0, 3, 4, "opsd")
    assert recipe.tracking.uri == "http://host"
    assert (options["root"], options["name"]) == (tmp_path / "runs", "n")
    captured = capsys.readouterr()
    assert "THE TABLE" in captured.out
    assert "talk" in captured.err and "chatter" in captured.err and "chatter" not in captured.out


def test_an_interrupted_training_is_exit_code_130(capsys: pytest.CaptureFixture[str], calls: Calls) -> None:
    calls.interrupted = True
    assert main(["train", "--recipe", "quickstart"]) == 130
    assert main(["resume", "mine"]) == 130
    assert "sdar resume mine" in capsys.readouterr().out


def test_json_is_all_there_is_on_standard_output(capsys: pytest.CaptureFixture[str], calls: Calls) -> None:
    for words in (["train", "--recipe", "quickstart"], ["eval"], ["resume"]):
        assert main([*words, "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == {"target": "some"}


def test_resume_takes_the_latest(calls: Calls) -> None:
    assert main(["resume"]) == 0
    assert calls.made[0][0] == (calls.run,)


@pytest.mark.parametrize(
    ("flags", "modes"),
    [
        ([], ("no_skills", "skills")),
        (["--both"], ("no_skills", "skills")),
        (["--no-skills"], ("no_skills",)),
        (["--skills"], ("skills",)),
    ],
)
def test_eval_modes(calls: Calls, flags: list[str], modes: tuple[str, ...]) -> None:
    assert main(["eval", *flags]) == 0
    (target, _), options = calls.made[0]
    assert target == calls.run
    assert (options["modes"], options["checkpoint"], options["tasks"]) == (modes, "last", None)


def test_eval_without_run_but_with_overrides(calls: Calls) -> None:
    assert main(["eval", "rollout.max_turns=9", "--tasks", "8", "--checkpoint", "base"]) == 0
    (target, resolved), options = calls.made[0]
    assert target == calls.run and resolved.recipe.rollout.max_turns == 9
    assert (options["tasks"], options["checkpoint"]) == (8, "base")


def test_eval_of_a_bare_model(capsys: pytest.CaptureFixture[str], calls: Calls, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    assert main(["eval", str(folder), "--recipe", "quickstart"]) == 0
    (target, resolved), _ = calls.made[0]
    assert target == ModelFolder(str(folder), folder)
    assert (resolved.recipe.model.path, resolved.recipe.model.tiny) == (str(folder), None)
    assert main(["eval", str(folder), "--recipe", "quickstart", "--checkpoint", "5"]) == 2
    assert main(["eval", "mine", "--recipe", "quickstart"]) == 2
    assert "has its own recipe" in capsys.readouterr().err
