"""Which checkpoint a run goes on from, which are kept, and which is the best."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sdar_cli.errors import RecipeError, RunError
from sdar_cli.recipe.load import load_recipe
from sdar_cli.runs.retention import old_checkpoints
from sdar_cli.runs.state import RunStatus
from sdar_cli.runs.store import RunFolder
from sdar_cli.tracking.journal import Journal


def save(run: RunFolder, *steps: int) -> None:
    for step in steps:
        with run.saving_checkpoint(step) as folder:
            (folder / "weights").write_text(f"step {step}")


def harm(run: RunFolder, step: int, text: str = "") -> None:
    (run.path / "checkpoints" / f"step-{step}" / "weights").write_text(text)


def names(run: RunFolder) -> list[str]:
    return sorted(path.name for path in (run.path / "checkpoints").iterdir())


def test_the_newest_is_used_in_silence(run: RunFolder) -> None:
    said: list[str] = []
    assert run.usable_checkpoint(said.append) is None
    save(run, 5, 10)
    assert run.usable_checkpoint(said.append).step == 10 and said == []


def test_a_torn_one_is_set_aside_and_the_one_before_is_used(run: RunFolder) -> None:
    """Also where only the hash tells."""
    save(run, 5, 10, 15, 20)
    harm(run, 20, "step 21")
    harm(run, 15)
    said: list[str] = []
    assert run.usable_checkpoint(said.append).step == 10
    assert len(said) == 1 and "\n" not in said[0]
    aside = run.path / "checkpoints" / ".torn-step-20"
    assert (
        f"the checkpoint of step 20 has other content in weights than was written and is kept as {aside}; " in said[0]
    )
    assert "that" not in said[0] and "the checkpoint of step 15 has weights with 0 of 7 bytes" in said[0]
    assert said[0].endswith(": the run goes on from step 10")
    assert (aside / "weights").read_text() == "step 21"
    assert run.usable_checkpoint(said.append).step == 10 and len(said) == 1, "said once"
    run.recover()
    run.prune_checkpoints(1)
    assert names(run) == [".torn-step-15", ".torn-step-20", "step-10"], "never deleted"


def test_without_a_whole_one_it_is_the_base(run: RunFolder) -> None:
    save(run, 5)
    (run.path / "checkpoints" / "step-5" / "manifest.json").unlink()
    said: list[str] = []
    assert run.usable_checkpoint(said.append) is None
    assert said[0].endswith("the run goes on from the base, as there is no other")


def test_a_checkpoint_of_before_is_used(run: RunFolder) -> None:
    folder = run.path / "checkpoints" / "step-5"
    folder.mkdir()
    (folder / "complete").write_text("5\n")
    assert [one.step for one in run.checkpoints()] == [5]
    assert run.usable_checkpoint(pytest.fail).step == 5


def test_what_is_asked_for_is_checked(run: RunFolder) -> None:
    assert run.wanted_checkpoint("last") is None
    save(run, 5, 10)
    for step in (5, 10):
        Journal(run.path / "metrics.jsonl").append(step, {"eval/no_skills/success": 1 / step})
    assert run.wanted_checkpoint("last").step == 10 and run.wanted_checkpoint("best").step == 5
    harm(run, 5, "step 6")
    for word in ("5", "best"):
        with pytest.raises(RunError, match=r"step 5 of .* has other content in weights.*: choose another --checkpoint"):
            run.wanted_checkpoint(word)
    with pytest.raises(RunError, match="no checkpoint of step 7"):
        run.wanted_checkpoint("7")


def test_a_damaged_one_that_is_asked_for_is_named(run: RunFolder) -> None:
    save(run, 5, 10, 15)
    harm(run, 10)
    (run.path / "checkpoints" / "step-15" / "manifest.json").unlink()
    torn = {10: "has weights with 0 of 7 bytes", 15: "has no manifest.json, as its writing was cut short"}
    for step, what in torn.items():
        sentence = f"the checkpoint of step {step} of {run.name} {what}: restore it, or choose one of those that are "
        for ask in (run.checkpoint, lambda step: run.wanted_checkpoint(str(step))):
            with pytest.raises(RunError) as error:
                ask(step)
            assert str(error.value) == sentence + "whole (5)"


MEASURED = {5: 0.25, 10: 0.75, 20: 0.75, 25: 0.5, 30: 0.125}
"""Step 15 has no evaluation, 35 one that is not a number."""


@pytest.fixture
def measured(run: RunFolder) -> RunFolder:
    save(run, *range(5, 40, 5))
    journal = Journal(run.path / "metrics.jsonl")
    journal.append(0, {"eval/no_skills/success": 1.0})
    for step in range(1, 36):
        journal.append(step, {"loss/total": 0.0})
        if step in MEASURED:
            journal.append(step, {"eval/no_skills/success": MEASURED[step], "eval/skills/success": 1.0})
    journal.append(35, {"eval/no_skills/success": float("nan")})
    journal.append(12, {"eval/no_skills/success": 1.0})
    return run


@pytest.mark.parametrize(
    ("newest", "best", "left"),
    [
        (1, 0, [35]),
        (2, 1, [10, 30, 35]),
        (1, 2, [10, 20, 35]),
        (1, 3, [10, 20, 25, 35]),
        (3, 9, [5, 10, 20, 25, 30, 35]),
    ],
)
def test_the_best_are_kept_beside_the_newest(measured: RunFolder, newest: int, best: int, left: list[int]) -> None:
    """Of equal ones the earlier."""
    assert measured.best_checkpoint().step == 10
    measured.prune_checkpoints(newest, best)
    assert [one.step for one in measured.checkpoints()] == left
    assert names(measured) == sorted(f"step-{step}" for step in left)


def test_a_step_that_was_played_again_counts_as_it_was_last(measured: RunFolder) -> None:
    journal = Journal(measured.path / "metrics.jsonl")
    journal.rewind(5)
    journal.append(10, {"eval/no_skills/success": 0.125})
    assert measured.best_checkpoint().step == 5


def test_without_an_evaluation_there_is_no_best(run: RunFolder) -> None:
    save(run, 5, 10)
    with pytest.raises(RunError, match=r"at whose step it was evaluated: choose one of \(5, 10\), or train with train"):
        run.best_checkpoint()


def test_old_runs_keep_their_best_too(tmp_path: Path) -> None:
    changes = ["train.steps=40", "train.checkpoint_every=5", "evaluation.every=5", "train.keep_best=1"]
    run = RunFolder.create(tmp_path, load_recipe("quickstart", overrides=changes), "over")
    save(run, 5, 10, 15)
    Journal(run.path / "metrics.jsonl").append(5, {"eval/no_skills/success": 0.5})
    run.update(status=RunStatus.FINISHED, ended=0.0)
    [old] = old_checkpoints(tmp_path, 1, 0.0)
    assert [folder.name for folder in old.folders] == ["step-10"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["evaluation.every=0"], "set evaluation.every"),
        (["evaluation.every=4", "train.checkpoint_every=6"], "set evaluation.every=6"),
        (["evaluation.every=5", "train.checkpoint_every=12"], "lower train.checkpoint_every"),
    ],
)
def test_a_best_that_nothing_tells_is_refused_at_load(changes: list[str], words: str) -> None:
    with pytest.raises(RecipeError, match=rf"train\.keep_best.*{words}"):
        load_recipe("quickstart", overrides=["train.steps=12", "train.keep_best=1", *changes])
    load_recipe(
        "quickstart",
        overrides=["train.steps=12", "train.keep_best=1", "evaluation.every=2", "train.checkpoint_every=3"],
    )


def test_a_panel_is_there_from_the_beginning(tmp_path: Path, resolved) -> None:
    class Board:
        def save(self, path: Path) -> None:
            path.write_text(json.dumps({"tasks": []}))

    run = RunFolder.create(tmp_path, resolved, "mine", panel=Board())
    assert run.panel_file.read_text() == '{"tasks": []}'
    assert sorted(path.name for path in tmp_path.iterdir()) == [".new", "mine"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="there is a run 'empty'"):
        RunFolder.create(tmp_path, resolved, "empty")
