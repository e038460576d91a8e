"""Which run goes on when nobody names it: ``sdar resume`` alone, and ``sdar train --auto-resume``."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from sdar_cli.cli.main import main
from sdar_cli.errors import RecipeError, RunError
from sdar_cli.recipe.load import load_recipe
from sdar_cli.runs.auto import collapse_of, differing_keys, find, newest_open
from sdar_cli.runs.store import RunFolder
from sdar_cli.training.guards import Finding

RECIPE = load_recipe("quickstart")
OTHER = load_recipe("quickstart", [], ["gate.beta=9", "train.steps=7", "rollout.group=3"])


def make(root: Path, name: str, status: str, *, started: float = 0.0, recipe: Any = RECIPE, step: int = 3) -> RunFolder:
    run = RunFolder.create(root, recipe, name)
    run.update(status=status, started=started, step=step)
    return run


# -- sdar resume --------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["interrupted", "failed", "training", "created", "evaluating"])
def test_the_newest_that_can_go_on(tmp_path: Path, status: str) -> None:
    make(tmp_path, "older", "interrupted", started=1)
    wanted = make(tmp_path, "wanted", status, started=2)
    make(tmp_path, "done", "finished", started=3)
    make(tmp_path, "collapsed", "collapsed", started=4)
    busy = make(tmp_path, "busy", "training", started=5)
    with busy.lock():
        assert newest_open(tmp_path) == wanted
        assert newest_open(tmp_path, busy=True) == busy
    assert newest_open(tmp_path) == busy, "its process is gone: it is lost"


def test_nothing_to_go_on_with_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no run in"):
        newest_open(tmp_path)
    make(tmp_path, "first", "collapsed", started=1)
    make(tmp_path, "done", "finished", started=2)
    with pytest.raises(RunError, match=r"no run in .* can go on \(the newest, done, is finished\): start one with"):
        newest_open(tmp_path)


# -- sdar train --auto-resume -------------------------------------------------------------------------


def test_by_name(tmp_path: Path) -> None:
    assert find(RECIPE, tmp_path, "mine") is None
    made = make(tmp_path, "mine", "interrupted")
    make(tmp_path, "newer", "interrupted", started=2)
    assert find(RECIPE, tmp_path, "mine") == made
    with made.lock():  # refused where it would go on
        assert find(RECIPE, tmp_path, "mine") == made
    made.update(status="finished")
    assert find(RECIPE, tmp_path, "mine") == made


def test_a_folder_that_is_no_run_is_none(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    assert find(RECIPE, tmp_path, "mine") is None
    with pytest.raises(RunError, match="'latest' cannot name a run"):
        find(RECIPE, tmp_path, "latest")


def test_other_settings_are_refused_by_name(tmp_path: Path) -> None:
    run = make(tmp_path, "mine", "interrupted")
    assert differing_keys(run, run.state, OTHER.recipe) == ["gate.beta", "rollout.group", "train.steps"]
    with pytest.raises(RecipeError) as caught:
        find(OTHER, tmp_path, "mine")
    assert str(caught.value).startswith(
        "the run mine was started with another gate.beta, rollout.group, train.steps: give it what it had, or choose "
        "another --name; `sdar resume mine"
    )


def test_many_differences_are_counted(tmp_path: Path) -> None:
    make(tmp_path, "mine", "interrupted")
    changes = ["train.steps=7", "rollout.group=3", "rollout.tasks=3", "seed=5", "rollout.max_turns=3"]
    changes += ["evaluation.tasks=3", "evaluation.every=3", "gate.beta=9"]
    with pytest.raises(RecipeError, match=" and 2 more: "):
        find(load_recipe("quickstart", [], changes), tmp_path, "mine")


def test_a_key_that_nothing_reads_does_not_count(tmp_path: Path) -> None:
    """Its digest is another, and so is that of a run of before a key was added; what it does is not."""
    plain = load_recipe("quickstart", [], ["method=grpo"])
    idle = plain.recipe.model_copy(update={"gate": plain.recipe.gate.model_copy(update={"beta": 9.0})})
    run = make(tmp_path, "mine", "interrupted", recipe=plain)
    assert differing_keys(run, run.state, idle) == []
    run.update(recipe_digest="0" * 64)
    assert find(plain, tmp_path, "mine") == run


def test_without_a_name_the_newest_of_equal_settings_that_can_go_on(tmp_path: Path) -> None:
    assert find(RECIPE, tmp_path / "none", None) is None
    make(tmp_path, "finished", "finished", started=9)
    assert find(RECIPE, tmp_path, None) is None
    wanted = make(tmp_path, "wanted", "failed", started=2)
    make(tmp_path, "older", "interrupted", started=1)
    make(tmp_path, "other", "interrupted", started=5, recipe=OTHER)
    busy = make(tmp_path, "busy", "training", started=6)
    unreadable = make(tmp_path, "unreadable", "interrupted", started=7)
    unreadable.update(recipe_digest="0" * 64)
    (unreadable.path / "recipe.yaml").write_text("no: recipe\n")
    damaged = make(tmp_path, "damaged", "interrupted", started=8)
    (damaged.path / "run.json").write_text("{")
    with busy.lock():
        assert find(RECIPE, tmp_path, None) == wanted


# -- a run that collapsed -----------------------------------------------------------------------------


def test_what_ended_it(tmp_path: Path) -> None:
    run = make(tmp_path, "mine", "collapsed")
    with pytest.raises(RunError, match=r"mine/run\.json says that the run collapsed, and not why: restore it, or "):
        collapse_of(run)
    warning = Finding("gate_saturated", 2, "too large: lower it", collapse=False)
    finding = Finding("kl", 3, "too far: lower it", collapse=True)
    run.update(warnings=[warning, finding])
    assert collapse_of(run) == finding


# -- the commands -------------------------------------------------------------------------------------


class Result:
    report, warnings, collapse = object(), (), None

    def to_json(self) -> dict[str, str]:
        return {"made": "up"}


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, Any]]:
    """What was called in the place of trainings: its name and its first argument."""
    calls: list[tuple[str, Any]] = []

    def stand_in(name: str) -> Any:
        def call(given: Any, **options: Any) -> Result:
            calls.append((name, given if isinstance(given, RunFolder) else options["name"]))
            return Result()

        return call

    training = ModuleType("sdar_cli.training.run")
    training.train, training.resume = stand_in("train"), stand_in("resume")  # type: ignore[attr-defined]
    training.TrainResult = Result  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sdar_cli.training.run", training)
    monkeypatch.delitem(sys.modules, "sdar_cli.training.auto_resume", raising=False)
    monkeypatch.setenv("SDAR_RUNS", str(tmp_path))
    yield calls
    sys.modules.pop("sdar_cli.training.auto_resume", None)


def train(*words: str) -> int:
    return main(["train", "--recipe", "quickstart", "--auto-resume", "--json", *words])


def test_train_starts_or_goes_on(
    capsys: pytest.CaptureFixture[str], called: list[tuple[str, Any]], tmp_path: Path
) -> None:
    assert train("--name", "mine") == 0 and called == [("train", "mine")]
    assert train() == 0 and called.pop() == ("train", None)
    run = make(tmp_path, "mine", "interrupted")
    assert train("--name", "mine") == 0 and called.pop() == ("resume", run)
    assert train() == 0 and called.pop() == ("resume", run)
    captured = capsys.readouterr()
    assert captured.err.count("going on with mine (interrupted at step 3 of 100)") == 2
    assert train("--name", "mine", "gate.beta=9") == 2
    assert "was started with another gate.beta" in capsys.readouterr().err
    assert called == [("train", "mine")]


def test_the_command_keeps_the_option(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """What a launcher starts, and what a dry run shows, is the same command."""
    assert train("--name", "mine", "--dry-run", "--runs", str(tmp_path)) == 0
    assert "--auto-resume" in json.loads(capsys.readouterr().out)["command"]


def test_resume_says_which(capsys: pytest.CaptureFixture[str], called: list[tuple[str, Any]], tmp_path: Path) -> None:
    run = make(tmp_path, "mine", "interrupted", started=1)
    make(tmp_path, "done", "finished", started=2)
    assert main(["resume", "--json"]) == 0 and called == [("resume", run)]
    assert capsys.readouterr().err.startswith("going on with mine (interrupted at step 3 of 100)\n")
    shutil.rmtree(run.path)
    assert main(["resume"]) == 2
    assert "no run in" in capsys.readouterr().err
