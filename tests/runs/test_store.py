from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from sdar_cli.errors import RunError
from sdar_cli.recipe.dump import recipe_digest
from sdar_cli.recipe.load import ResolvedRecipe
from sdar_cli.runs.state import RunStatus, git_commit
from sdar_cli.runs.store import RunFolder, list_runs


def test_a_new_run(run: RunFolder, resolved: ResolvedRecipe) -> None:
    assert re.fullmatch(r"quickstart-\d{8}-\d{6}-[0-9a-f]{4}", run.name)
    state = run.state
    assert (state.status, state.step, state.steps, state.ended) == (RunStatus.CREATED, 0, 7, None)
    assert state.recipe_digest == recipe_digest(resolved.recipe)
    assert state.versions["trl"].startswith("1.16")
    assert run.recipe() == resolved.recipe
    assert run.resolved().origins == resolved.origins
    assert run.checkpoints() == [] and run.latest_checkpoint() is None
    assert RunFolder.open(run.path) == run


def test_names(tmp_path: Path, resolved: ResolvedRecipe) -> None:
    assert RunFolder.create(tmp_path, resolved, "mine").name == "mine"
    with pytest.raises(RunError, match="there is a run 'mine'"):
        RunFolder.create(tmp_path, resolved, "mine")
    for name in ("", "a/b", "..", ".x", "a b", "latest", "x" * 101):
        with pytest.raises(RunError, match="cannot name a run"):
            RunFolder.create(tmp_path, resolved, name)
    odd = ResolvedRecipe(resolved.recipe.model_copy(update={"name": "../é v/2"}), {}, "x")
    made = RunFolder.create(tmp_path, odd)
    assert made.path.parent == tmp_path and made.name.startswith("v-2-")


def test_many_runs_at_once_have_names_of_their_own(tmp_path: Path, resolved: ResolvedRecipe) -> None:
    assert len({RunFolder.create(tmp_path, resolved).name for _ in range(20)}) == 20


def test_state_changes_and_ends(run: RunFolder) -> None:
    run.update(status=RunStatus.TRAINING, step=3, mlflow_run_id="ab")
    assert (run.state.status, run.state.step, run.state.mlflow_run_id) == (RunStatus.TRAINING, 3, "ab")
    assert run.state.ended is None
    assert run.update(status=RunStatus.FINISHED).ended is not None
    assert run.update(status=RunStatus.TRAINING).ended is None
    with pytest.raises(ValueError):
        run.update(step="many")
    assert run.state.step == 3
    assert [path.name for path in run.path.glob(".*")] == []


def test_a_run_without_its_process_is_lost(run: RunFolder) -> None:
    run.update(status=RunStatus.TRAINING)
    assert run.status == "lost"
    with run.lock():
        assert run.status == "training"
    run.update(status=RunStatus.FAILED)
    assert run.status == "failed"


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"name": 3}', '{"format": 1, "status": "odd"}'])
def test_a_damaged_state_is_a_sentence(run: RunFolder, content: str) -> None:
    (run.path / "run.json").write_text(content)
    with pytest.raises(RunError, match="is damaged"):
        RunFolder.open(run.path)


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not a run"):
        RunFolder.open(tmp_path)


def test_runs_are_listed_by_their_start(tmp_path: Path, resolved: ResolvedRecipe) -> None:
    made = [RunFolder.create(tmp_path, resolved, name) for name in ("c", "a", "b")]
    for second, run in enumerate(made):
        run.update(started=1000.0 + second)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{")
    (tmp_path / "other").mkdir()
    assert [run.name for run in list_runs(tmp_path)] == ["c", "a", "b"]
    assert list_runs(tmp_path / "none") == []


def test_checkpoints_are_whole_or_absent(run: RunFolder) -> None:
    with run.saving_checkpoint(5) as folder:
        (folder / "weights").write_text("five")
        assert run.checkpoints() == []
    with run.saving_checkpoint(10) as folder:
        (folder / "weights").write_text("ten")
    with pytest.raises(RuntimeError), run.saving_checkpoint(15) as folder:
        (folder / "weights").write_text("half")
        raise RuntimeError
    (run.path / "checkpoints" / "step-20").mkdir()
    assert [checkpoint.step for checkpoint in run.checkpoints()] == [5, 10]
    latest = run.latest_checkpoint()
    assert latest is not None and (latest.path / "weights").read_text() == "ten"
    assert run.checkpoint(5).step == 5
    with pytest.raises(RunError, match=r"no checkpoint of step 7: choose one of those kept \(5, 10\)"):
        run.checkpoint(7)


def test_a_whole_checkpoint_is_never_written_over(run: RunFolder) -> None:
    for text in ("first", "second"):
        with run.saving_checkpoint(5) as folder:
            (folder / text).write_text(text)
    latest = run.latest_checkpoint()
    assert latest is not None
    assert sorted(path.name for path in latest.path.iterdir()) == ["first", "manifest.json"]
    assert sorted(path.name for path in (run.path / "checkpoints").iterdir()) == ["step-5"]


def test_a_torn_checkpoint_is_set_aside_by_its_next_writing(run: RunFolder) -> None:
    for text in ("first", "second", "third"):
        with run.saving_checkpoint(5) as folder:
            (folder / text).write_text(text)
        (run.path / "checkpoints" / "step-5" / text).write_text("")
    names = sorted(path.name for path in (run.path / "checkpoints").iterdir())
    assert names == [".torn-step-5", ".torn-step-5-2", "step-5"] and run.checkpoints() == []
    assert (run.path / "checkpoints" / ".torn-step-5-2" / "second").exists()


def test_pruning_keeps_the_newest_and_sweeps_leftovers(run: RunFolder) -> None:
    for step in (1, 2, 10):
        with run.saving_checkpoint(step):
            pass
    (run.path / "checkpoints" / ".step-3-999").mkdir()
    (run.path / "checkpoints" / "step-4").mkdir()
    run.prune_checkpoints(2)
    assert sorted(path.name for path in (run.path / "checkpoints").iterdir()) == ["step-10", "step-2"]


def test_evaluations(run: RunFolder) -> None:
    run.save_evaluation("base", {"a": 1})
    assert json.loads(run.evaluations()["base"].read_text()) == {"a": 1}


def test_the_commit_of_a_tree(tmp_path: Path) -> None:
    assert git_commit(tmp_path) is None


def test_a_runs_folder_that_cannot_be_made(tmp_path: Path, resolved: ResolvedRecipe) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        RunFolder.create(tmp_path / "file", resolved)
