"""Every writing of ours, ended at every call of the system: what is found afterwards is the old or the new, whole."""

from __future__ import annotations

import itertools
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from crash_child import WAYS, crash
from scripted_warmup import KEY, Warmups

from sdar_cli.recipe.load import ResolvedRecipe, load_recipe
from sdar_cli.runs import creation, leftovers
from sdar_cli.runs.disk import disk
from sdar_cli.runs.manifest import MANIFEST, damage
from sdar_cli.runs.store import RunFolder, list_runs

ABRUPT = ("kill", "power", "full disk")
"""Of what is written by the same code as a checkpoint, or begins a run."""
MOST = 2000
"""Calls; reached only where a piece of work never ends."""


@pytest.fixture(scope="module")
def resolved() -> ResolvedRecipe:
    return load_recipe("quickstart", overrides=["train.steps=7"])


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(creation, "git_commit", lambda: None)
    monkeypatch.setattr(creation, "package_versions", dict)
    monkeypatch.setattr(leftovers, "QUIET", -1.0)


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder in memory where there is one, as thousands of flushes are told and none is needed."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
        yield Path(folder)


@pytest.fixture
def begun(place: Path, resolved: ResolvedRecipe) -> RunFolder:
    """A run to start from; every crash happens to a copy of it."""
    return RunFolder.create(place / "begun", resolved, "mine")


def save(run: RunFolder, step: int, text: str = "") -> None:
    with run.saving_checkpoint(step) as folder:
        (folder / "weights").write_text(text or f"step {step}")
        (folder / "training").mkdir()
        (folder / "training" / "moments").write_bytes(b"m" * 50)


def text_of(run: RunFolder, step: int) -> str:
    return (run.path / "checkpoints" / f"step-{step}" / "weights").read_text()


def at_every_call(way: str, begun: Path, work: Callable[[Path], object], check: Callable[[Path, bool], None]) -> None:
    """Do the work in a copy of a folder, which ends at its first, its second call… until it comes to its end."""
    for at in itertools.count(1):
        root = begun.parent / f"{way}-{at}"
        shutil.copytree(begun, root)
        done = crash(lambda: work(root), at, way, root)  # noqa: B023
        try:
            check(root, done)
        except BaseException as error:
            error.add_note(f"{way} at call {at}, in {root}")
            raise
        shutil.rmtree(root)
        if done:
            break
        assert at < MOST
    assert at > 1, "the calls are not counted"


def found(root: Path) -> tuple[RunFolder, int | None, list[str]]:
    """What a start finds: the run, its usable checkpoint and what was said; no leftover is there then."""
    run, said = RunFolder.open(root / "mine"), []
    with run.lock():
        run.recover()
        checkpoint = run.usable_checkpoint(said.append)
    names = [path.name for path in run.path.rglob(".*") if not path.name.startswith(".torn-")]
    assert names == [], "leftovers"
    assert all(damage(one.path, deep=True) is None for one in run.checkpoints())
    return run, checkpoint and checkpoint.step, said


@pytest.mark.parametrize("way", WAYS)
def test_a_checkpoint(begun: RunFolder, way: str) -> None:
    save(begun, 5)
    stages = set()

    def check(root: Path, done: bool) -> None:
        run, step, said = found(root)
        assert step in (5, 10) and text_of(run, step) == f"step {step}" and said == []
        assert step == 10 or not done
        stages.add(step)

    at_every_call(way, begun.path.parent, lambda root: save(RunFolder(root / "mine"), 10), check)
    assert stages == {5, 10}


@pytest.mark.parametrize("way", WAYS)
def test_the_same_step_again(begun: RunFolder, way: str) -> None:
    save(begun, 5)
    save(begun, 10)

    def check(root: Path, done: bool) -> None:
        run, step, said = found(root)
        assert (step, text_of(run, 10), said) == (10, "step 10", []), "never written over"

    at_every_call(way, begun.path.parent, lambda root: save(RunFolder(root / "mine"), 10, "again"), check)


@pytest.mark.parametrize("way", WAYS)
def test_a_torn_step_again(begun: RunFolder, way: str) -> None:
    save(begun, 5)
    save(begun, 10, "torn")
    torn = begun.path / "checkpoints" / "step-10"
    (torn / "weights").write_text("t")

    def check(root: Path, done: bool) -> None:
        run, step, _ = found(root)
        assert step in (5, 10) and (step == 10 or not done)
        assert text_of(run, step) == ("anew" if step == 10 else "step 5")
        kept = root / "mine" / "checkpoints" / ".torn-step-10"
        assert (kept / "weights").read_text() == "t" and (kept / MANIFEST).is_file(), "never deleted"

    at_every_call(way, begun.path.parent, lambda root: save(RunFolder(root / "mine"), 10, "anew"), check)


@pytest.mark.parametrize("way", WAYS)
def test_pruning(begun: RunFolder, way: str) -> None:
    for step in (5, 10, 15):
        save(begun, step)

    def check(root: Path, done: bool) -> None:
        run, step, said = found(root)
        steps = [one.step for one in run.checkpoints()]
        assert (step, said) == (15, []) and steps in ([5, 10, 15], [10, 15], [15])
        assert steps == [15] or not done

    at_every_call(way, begun.path.parent, lambda root: RunFolder(root / "mine").prune_checkpoints(1), check)


@pytest.mark.parametrize("way", WAYS)
def test_putting_right_what_a_kill_left(begun: RunFolder, way: str) -> None:
    """Also what versions left that wrote a step again in two moves."""
    save(begun, 5)
    save(begun, 10)
    folder = begun.path / "checkpoints"
    (folder / "step-10").rename(folder / ".step-10-old-99")
    shutil.copytree(folder / ".step-10-old-99", folder / ".step-10-99")
    shutil.copytree(folder / "step-5", folder / ".step-5-old-99")
    for name in (".base.writing", ".base-7"):
        (begun.path / name).mkdir()
        (begun.path / name / "weights").write_text("half")
    for name in (".run.json.abcd_123", "evaluations/.base.json.abcd1234"):
        (begun.path / name).write_text("{")

    def check(root: Path, done: bool) -> None:
        run, step, said = found(root)
        assert (step, text_of(run, 10), said) == (10, "step 10", [])

    at_every_call(way, begun.path.parent, lambda root: RunFolder(root / "mine").recover(), check)


@pytest.mark.parametrize("changes", [{"step": 3}, {"status": "evaluating", "step": 3}], ids=["step", "status"])
@pytest.mark.parametrize("way", WAYS)
def test_the_state(begun: RunFolder, way: str, changes: dict[str, Any]) -> None:
    """A step alone may be lost with the power, and the file is whole then too."""

    def check(root: Path, done: bool) -> None:
        run, _, _ = found(root)
        may_lack = not done or (way == "power" and len(changes) == 1)
        assert run.state.step in (0, 3) and (run.state.step == 3 or may_lack)
        assert run.state.status == ("evaluating" if run.state.step and len(changes) > 1 else "created")

    at_every_call(way, begun.path.parent, lambda root: RunFolder(root / "mine").update(**changes), check)


def test_a_step_waits_for_the_disk_once(begun: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step of a training is written down: the folder's flush would cost it as much again."""
    flushed: list[bool] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: flushed.append(stat.S_ISDIR(os.fstat(descriptor).st_mode)))
    begun.update(step=1)
    assert flushed == [False] and begun.state.step == 1
    begun.update(step=2, status="evaluating")
    assert flushed == [False, False, True]


@pytest.mark.parametrize("way", ABRUPT)
def test_a_run_folder(place: Path, resolved: ResolvedRecipe, way: str) -> None:
    empty = place / "empty"
    empty.mkdir()

    class Board:
        def save(self, path: Path) -> None:
            path.write_text("panel")

    def make(root: Path) -> RunFolder:
        return RunFolder.create(root, resolved, "mine", panel=Board())

    def check(root: Path, done: bool) -> None:
        runs = [run.name for run in list_runs(root)]
        assert runs in ([], ["mine"]) and (runs or not done)
        run = RunFolder.open(root / "mine") if runs else make(root)
        assert run.recipe() == resolved.recipe and run.state.name == "mine"
        assert run.panel_file.read_text() == "panel" and run.checkpoints() == [] and run.evaluations() == {}

    at_every_call(way, empty, make, check)


@pytest.mark.parametrize("way", ABRUPT)
def test_a_base(begun: RunFolder, way: str) -> None:
    source = begun.path.parent.parent / "source"
    (source / "part").mkdir(parents=True)
    (source / "model.safetensors").write_bytes(b"w" * 100)
    (source / "part" / "config.json").write_text("{}")

    def work(root: Path) -> None:
        with RunFolder(root / "mine").saving_base() as beside:
            shutil.copytree(source, beside, dirs_exist_ok=True)

    def check(root: Path, done: bool) -> None:
        run, _, _ = found(root)
        assert run.base.is_dir() or not done
        assert not run.base.is_dir() or damage(run.base, deep=True) is None

    at_every_call(way, begun.path.parent, work, check)


@pytest.mark.parametrize("way", WAYS)
def test_what_reproduces_a_failure(begun: RunFolder, way: str) -> None:
    """Of a step that failed before, too: the model that it left is not kept where nobody looks."""

    def fail(run: RunFolder, text: str) -> None:
        with disk(run.path, "what reproduces the failure"), run.saving_failure(7) as folder:
            (folder / "model").mkdir()
            (folder / "model" / "weights").write_text(text)
            assert run.failure(7).exists() == (text == "again"), "the one before waits for the next one"

    fail(begun, "before")
    stages = set()

    def check(root: Path, done: bool) -> None:
        run, _, _ = found(root)
        kept = run.failure(7) / "model" / "weights"
        stages.add(kept.read_text() if run.failure(7).exists() else "absent")
        assert kept.exists() or not done

    at_every_call(way, begun.path.parent, lambda root: fail(RunFolder(root / "mine"), "again"), check)
    assert stages == {"before", "absent", "again"}, "absent: between two names"


@pytest.mark.parametrize("way", WAYS)
def test_a_lock(begun: RunFolder, way: str) -> None:
    """Whoever was killed while it took the lock holds it no more."""

    def work(root: Path) -> None:
        with RunFolder(root / "mine").lock():
            pass

    at_every_call(way, begun.path.parent, work, lambda root, done: found(root))


@pytest.mark.parametrize("way", ABRUPT)
def test_a_warm_up_in_the_cache(place: Path, warmups: Warmups, way: str) -> None:
    empty = place / "empty"
    empty.mkdir()
    there = set()

    def check(root: Path, done: bool) -> None:
        trained, entry = warmups.trained, root / "warmups" / KEY[:32]
        whole = entry.is_dir() and damage(entry, deep=True) is None
        assert whole or not done
        base = warmups.base(root)
        assert warmups.trained - trained == (0 if whole else 1) and base.report["examples"] == 9
        assert damage(base.folder, deep=True) is None and (base.folder / "model.safetensors").stat().st_size == 120
        there.add(whole)

    at_every_call(way, empty, warmups.base, check)
    assert there == {False, True}
