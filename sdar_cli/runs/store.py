"""A run's folder.

runs/quickstart-20261121-035959-a1b2/
    run.json             state: status, step, versions, MLflow run
    recipe.yaml          the resolved recipe
    panel.json           the tasks it is evaluated on
    base/                the checkpoint that RL starts from
    checkpoints/step-50/ a checkpoint; holds ``manifest.json`` once it is whole (``runs.manifest``)
    evaluations/*.json
    transcripts/*.jsonl.gz  the first episodes of base and end, word for word
    export/step-50/      what `sdar export` wrote
    failure/step-51/     what reproduces a step whose loss or gradient was not finite
    tracking/            what MLflow is still to be sent
    run.lock
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from sdar_cli.errors import RunError
from sdar_cli.evaluation.files import write_json
from sdar_cli.reading import Missing, Unreadable, read_json
from sdar_cli.recipe.load import ResolvedRecipe
from sdar_cli.recipe.schema import Recipe
from sdar_cli.runs.checkpoints import Checkpoint, Checkpoints
from sdar_cli.runs.creation import check_name, make_run
from sdar_cli.runs.disk import disk, sync_tree
from sdar_cli.runs.leftovers import sweep
from sdar_cli.runs.lock import RunLock
from sdar_cli.runs.manifest import damage
from sdar_cli.runs.own_recipe import own_recipe
from sdar_cli.runs.state import LARGEST, RunState, RunStatus, now
from sdar_cli.runs.whole import remove_whole, whole_folder

if TYPE_CHECKING:
    from sdar_cli.evaluation.panel import Panel

__all__ = ["Checkpoint", "RunFolder", "check_name", "list_runs", "list_states"]

MOMENTS = "training/"
"""What of a checkpoint only a training reads, and is most of it."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    path: Path

    @classmethod
    def create(
        cls, root: Path, resolved: ResolvedRecipe, name: str | None = None, *, panel: Panel | None = None
    ) -> RunFolder:
        """Make a folder under ``root``, named after the recipe, the time (UTC) and four random digits.

        It appears with all that belongs to a run that has not begun, or not at all.

        Args:
            name: a name instead; it must be free.
            panel: the tasks that the run is evaluated on.

        Raises:
            RunError: the name is taken or unusable, or ``root`` cannot be written.
            RunFailed: the disk is full or broken.
        """
        return cls(make_run(root, resolved, name, panel))

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
            return RunState.model_validate(read_json(file, LARGEST))
        except Missing:
            raise RunError(f"{self.path} is not a run (it has no run.json): name one from `sdar runs ls`") from None
        except (Unreadable, ValidationError) as error:
            raise RunError(f"{file} is damaged (it {_why(error)}): restore it, or remove the folder") from None

    def update(self, **changes: Any) -> RunState:
        """Change fields of ``run.json`` atomically; a status that is over sets ``ended``.

        A step alone, which a training writes down each time, may be taken back by a power loss: whoever goes on does
        so from a checkpoint's step.

        Raises:
            RunFailed: the disk is full or broken; the file is as it was.
        """
        before = self.state
        if "status" in changes:
            changes.setdefault("ended", now() if RunStatus(changes["status"]).is_over else None)
        state = RunState.model_validate(before.model_dump() | changes)
        with disk(self.path, "run.json"):
            write_json(self.path / "run.json", state.model_dump(mode="json"), lasting=changes.keys() != {"step"})
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
        return ResolvedRecipe(own_recipe(file).recipe, self.state.origins, file)

    @property
    def panel_file(self) -> Path:
        return self.path / "panel.json"

    @property
    def base(self) -> Path:
        """Folder of the checkpoint that RL starts from."""
        return self.path / "base"

    @contextmanager
    def saving_base(self) -> Iterator[Path]:
        """A fresh folder to write into; it becomes ``base`` when the block ends well. Raises RunFailed."""
        with disk(self.path, "the base"), whole_folder(self.base) as beside:
            yield beside

    def checkpoints(self) -> list[Checkpoint]:
        """Whole checkpoints by ascending step; one whose writing was cut short, or that lost files, is not listed."""
        return Checkpoints(self.path).whole()

    def latest_checkpoint(self) -> Checkpoint | None:
        checkpoints = self.checkpoints()
        return checkpoints[-1] if checkpoints else None

    def usable_checkpoint(self, say: Callable[[str], None]) -> Checkpoint | None:
        """The newest one whose every byte is as it was written; see ``Checkpoints.usable``."""
        with disk(self.path, "the name of a damaged checkpoint"):
            return Checkpoints(self.path).usable(say)

    def best_checkpoint(self) -> Checkpoint:
        """The one with the highest success without skills, of those measured at their very step.

        Raises:
            RunError: none was.
        """
        if found := Checkpoints(self.path).best():
            return found[0]
        raise RunError(
            f"the run {self.name} has no checkpoint at whose step it was evaluated: choose one of "
            f"({', '.join(str(one.step) for one in self.checkpoints()) or 'none yet'}), or train with train.keep_best"
        )

    def checkpoint(self, step: int) -> Checkpoint:
        """
        Raises:
            RunError: there is no such checkpoint, or it is damaged; the sentence lists those there are.
        """
        return Checkpoints(self.path).of_step(step)

    def wanted_checkpoint(self, word: str) -> Checkpoint | None:
        """What a user asks for, to be read as a model: its weights are as they were written.

        Args:
            word: ``last``, ``best`` or a step.

        Returns:
            None where ``last`` is asked for and there is none yet.

        Raises:
            RunError: there is no such checkpoint, or it is damaged.
        """
        if word == "last":
            found = self.latest_checkpoint()
        else:
            found = self.best_checkpoint() if word == "best" else self.checkpoint(int(word))
        if found is not None and (what := damage(found.path, deep=True, unread=MOMENTS)) is not None:
            raise RunError(f"the checkpoint of step {found.step} of {self.name} {what}: choose another --checkpoint")
        return found

    @contextmanager
    def saving_checkpoint(self, step: int) -> Iterator[Path]:
        """A fresh folder to write into; it becomes ``checkpoints/step-N`` when the block ends well.

        Raises:
            RunFailed: the disk is full or broken; the checkpoints before are as they were.
        """
        with Checkpoints(self.path).saving(step) as beside:
            yield beside

    def prune_checkpoints(self, keep: int, keep_best: int = 0) -> None:
        """Remove all but the newest and the best checkpoints, and leftovers of cut-short writes."""
        with disk(self.path, "the name of an old checkpoint"):
            Checkpoints(self.path).prune(keep, keep_best)

    def recover(self) -> None:
        """Put right what a kill left in the folder; for a process that holds the lock.

        Raises:
            RunFailed: the disk is broken or read-only.
        """
        with disk(self.path, "what a kill left"):
            Checkpoints(self.path).recover()
            sweep(self.path)

    def failure(self, step: int) -> Path:
        """Where what reproduces a failed step is kept."""
        return self.path / "failure" / f"step-{step}"

    @contextmanager
    def saving_failure(self, step: int) -> Iterator[Path]:
        """A fresh folder to write into; it becomes ``failure/step-N`` when the block ends well, and what the step left
        there before goes."""
        final = self.failure(step)
        with whole_folder(final, sealed=False) as beside:
            yield beside
            sync_tree(beside)
            if final.is_dir():
                remove_whole(final)

    def save_evaluation(self, name: str, value: Any) -> Path:
        """Write ``evaluations/<name>.json``."""
        path = self.path / "evaluations" / f"{name}.json"
        with disk(self.path, f"the evaluation {name}"):
            write_json(path, value)
        return path

    def evaluations(self) -> dict[str, Path]:
        """Name → file of the evaluations so far, by name."""
        return {path.stem: path for path in sorted((self.path / "evaluations").glob("*.json"))}


def _why(error: Unreadable | ValidationError) -> str:
    """What is wrong with a file of a run's state, in words that follow "it"."""
    if isinstance(error, Unreadable):
        return str(error)
    first = error.errors(include_url=False)[0]
    key = ascii(".".join(map(str, first["loc"])))[:200]
    if not first["loc"]:
        return "is no object of the run's keys"
    return f"has no {key}" if first["type"] == "missing" else f"has {key}, which is not what it should be"


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
