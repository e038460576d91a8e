"""A run's folder.

runs/quickstart-20261121-035959-a1b2/
    run.json             state: status, step, versions, MLflow run
    recipe.yaml          the resolved recipe
    panel.json           the tasks it is evaluated on
    base/                the checkpoint that RL starts from
    checkpoints/step-50/ a checkpoint; holds the file ``complete`` once it is whole
    evaluations/*.json
    transcripts/*.jsonl.gz  the first episodes of base and end, word for word
    export/step-50/      what `sdar export` wrote
    failure/step-51/     what reproduces a step whose loss or gradient was not finite
    run.lock
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sdar_cli.errors import RunError
from sdar_cli.evaluation.files import write_bytes, write_json
from sdar_cli.recipe.dump import dump, recipe_digest
from sdar_cli.recipe.load import ResolvedRecipe, load_recipe
from sdar_cli.recipe.schema import Recipe
from sdar_cli.runs.lock import RunLock
from sdar_cli.runs.state import RunState, RunStatus, git_commit, now, package_versions

MARKER = "complete"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    step: int
    path: Path


@dataclass(frozen=True, slots=True)
class RunFolder:
    path: Path

    @classmethod
    def create(cls, root: Path, resolved: ResolvedRecipe, name: str | None = None) -> RunFolder:
        """Make a folder under ``root``, named after the recipe, the time (UTC) and four random digits.

        Args:
            name: a name instead; it must be free.

        Raises:
            RunError: the name is taken or unusable, or ``root`` cannot be written.
        """
        recipe = resolved.recipe
        path = _make_folder(root, recipe.name, name)
        run = cls(path)
        (path / "checkpoints").mkdir()
        (path / "evaluations").mkdir()
        write_bytes(path / "recipe.yaml", dump(recipe).encode())
        state = RunState(
            name=path.name,
            recipe=recipe.name,
            recipe_digest=recipe_digest(recipe),
            settings=recipe.model_dump(mode="json"),
            origins=resolved.origins,
            steps=recipe.train.steps,
            started=now(),
            versions=package_versions(),
            git_commit=git_commit(),
        )
        write_json(path / "run.json", state.model_dump(mode="json"))
        return run

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """
        Raises:
            RunError: the folder is no run, or its ``run.json`` is damaged.
        """
        run = cls(path.absolute())
        _ = run.state
        return run

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def state(self) -> RunState:
        """``run.json`` as it stands on disk now."""
        file = self.path / "run.json"
        try:
            return RunState.model_validate(json.loads(file.read_text("utf-8")))
        except FileNotFoundError:
            raise RunError(f"{self.path} is not a run (it has no run.json): name one from `sdar runs ls`") from None
        except (OSError, ValueError, ValidationError):
            raise RunError(f"{file} is damaged or unreadable: restore it, or remove the folder") from None

    def update(self, **changes: Any) -> RunState:
        """Change fields of ``run.json`` atomically; a status that is over sets ``ended``."""
        before = self.state
        if "status" in changes:
            changes.setdefault("ended", now() if RunStatus(changes["status"]).is_over else None)
        state = RunState.model_validate(before.model_dump() | changes)
        write_json(self.path / "run.json", state.model_dump(mode="json"))
        return state

    @property
    def status(self) -> str:
        """The status for display: a run whose process is gone without a word is ``lost``."""
        status = self.state.status
        if status.is_over or self.lock().is_held():
            return status.value
        return "lost"

    def lock(self) -> RunLock:
        """A context manager; entering it raises RunError while another process is at work."""
        return RunLock(self.path)

    def recipe(self) -> Recipe:
        return self.resolved().recipe

    def resolved(self) -> ResolvedRecipe:
        """The recipe as it was trained, with the origins it had then."""
        file = self.path / "recipe.yaml"
        return ResolvedRecipe(load_recipe(str(file)).recipe, self.state.origins, file)

    @property
    def panel_file(self) -> Path:
        return self.path / "panel.json"

    @property
    def base(self) -> Path:
        """Folder of the checkpoint that RL starts from."""
        return self.path / "base"

    def checkpoints(self) -> list[Checkpoint]:
        """Whole checkpoints by ascending step; one whose writing was cut short is not listed."""
        found = []
        for path in (self.path / "checkpoints").glob("step-*"):
            if (match := re.fullmatch(r"step-(\d+)", path.name)) and (path / MARKER).is_file():
                found.append(Checkpoint(int(match[1]), path))
        return sorted(found, key=lambda checkpoint: checkpoint.step)

    def latest_checkpoint(self) -> Checkpoint | None:
        checkpoints = self.checkpoints()
        return checkpoints[-1] if checkpoints else None

    def checkpoint(self, step: int) -> Checkpoint:
        """
        Raises:
            RunError: there is no such checkpoint; the sentence lists those there are.
        """
        checkpoints = self.checkpoints()
        for checkpoint in checkpoints:
            if checkpoint.step == step:
                return checkpoint
        there = ", ".join(str(checkpoint.step) for checkpoint in checkpoints) or "none yet"
        raise RunError(f"the run {self.name} has no checkpoint of step {step}: choose one of those kept ({there})")

    @contextmanager
    def saving_checkpoint(self, step: int) -> Iterator[Path]:
        """A fresh folder to write into; it becomes ``checkpoints/step-N`` when the block ends well."""
        with _whole_folder(self.path / "checkpoints" / f"step-{step}") as beside:
            yield beside
            _flush_tree(beside)
            write_bytes(beside / MARKER, f"{step}\n".encode())

    def failure(self, step: int) -> Path:
        """Where what reproduces a failed step is kept."""
        return self.path / "failure" / f"step-{step}"

    @contextmanager
    def saving_failure(self, step: int) -> Iterator[Path]:
        """A fresh folder to write into; it becomes ``failure/step-N`` when the block ends well."""
        with _whole_folder(self.failure(step)) as beside:
            yield beside
            _flush_tree(beside)

    def prune_checkpoints(self, keep: int) -> None:
        """Remove all but the newest ``keep`` checkpoints, and leftovers of cut-short writes."""
        whole = self.checkpoints()
        kept = {checkpoint.path for checkpoint in whole[-keep:]}
        for path in (self.path / "checkpoints").iterdir():
            if path.is_dir() and path not in kept:
                shutil.rmtree(path, ignore_errors=True)

    def save_evaluation(self, name: str, value: Any) -> Path:
        """Write ``evaluations/<name>.json``."""
        path = self.path / "evaluations" / f"{name}.json"
        write_json(path, value)
        return path

    def evaluations(self) -> dict[str, Path]:
        """Name → file of the evaluations so far, by name."""
        return {path.stem: path for path in sorted((self.path / "evaluations").glob("*.json"))}


def list_runs(root: Path) -> list[RunFolder]:
    """The runs under a folder, the oldest first; damaged ones are left out."""
    return [run for run, _ in list_states(root)]


def list_states(root: Path) -> list[tuple[RunFolder, RunState]]:
    """The runs under a folder, the oldest first, each with its state; every ``run.json`` is read once."""
    runs: list[tuple[float, str, RunFolder, RunState]] = []
    for file in root.absolute().glob("*/run.json"):
        run = RunFolder(file.parent)
        try:
            state = run.state
        except RunError:
            continue
        runs.append((state.started, run.name, run, state))
    return [(run, state) for _, _, run, state in sorted(runs, key=lambda item: item[:2])]


def check_name(name: str) -> None:
    """Raises RunError for what no run can be called."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,99}", name):
        raise RunError(f"{name!r} cannot name a run: use letters, digits, '.', '_' and '-'")
    if name == "latest":
        raise RunError("'latest' cannot name a run, as it means the newest one: choose another name")


def _make_folder(root: Path, recipe_name: str, name: str | None) -> Path:
    if name is not None:
        check_name(name)
    slug = re.sub(r"[^A-Za-z0-9.]+", "-", recipe_name).strip("-.")[:60] or "run"
    try:
        root.mkdir(parents=True, exist_ok=True)
        while True:
            stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
            path = root.absolute() / (name or f"{slug}-{stamp}-{secrets.token_hex(2)}")
            try:
                path.mkdir()
                return path
            except FileExistsError:
                if name is not None:
                    raise RunError(f"there is a run {name!r} in {root} already: choose another name") from None
    except OSError as error:
        raise RunError(
            f"the runs folder {root} cannot be written ({error.strerror}): give another with --runs"
        ) from None


@contextmanager
def _whole_folder(final: Path) -> Iterator[Path]:
    """A folder beside ``final``, put in its place when the block ends well and removed when it does not."""
    beside = final.with_name(f".{final.name}-{os.getpid()}")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        yield beside
        _replace_folder(beside, final)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _flush_tree(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _replace_folder(source: Path, target: Path) -> None:
    """Put a folder in the place of another: a kill between the two moves leaves the old one aside."""
    if target.exists():
        aside = target.with_name(f".{target.name}-old-{os.getpid()}")
        shutil.rmtree(aside, ignore_errors=True)
        os.replace(target, aside)
        os.replace(source, target)
        shutil.rmtree(aside, ignore_errors=True)
    else:
        os.replace(source, target)
    descriptor = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
