"""The checkpoints of a run: saving, finding and checking them, and which of them are kept."""

from __future__ import annotations

import math
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sdar_cli.errors import RunError
from sdar_cli.runs.disk import disk, sync_file
from sdar_cli.runs.manifest import damage, is_marked
from sdar_cli.runs.whole import remove_whole, set_aside, whole_folder

SUCCESS = "eval/no_skills/success"
"""Of the journal: an evaluation's success without skills, which the best checkpoint is the best in."""
_REPLACED = re.compile(r"\.(step-\d+)-old-\d+")
"""How a checkpoint was once set aside while another took its name."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    step: int
    path: Path


@dataclass(frozen=True, slots=True)
class Checkpoints:
    run: Path
    """The run's folder."""

    @property
    def folder(self) -> Path:
        return self.run / "checkpoints"

    def whole(self) -> list[Checkpoint]:
        """By ascending step; one whose writing was cut short, or that has lost files or bytes since, is not listed."""
        return [one for one in self._named() if damage(one.path, deep=False) is None]

    def of_step(self, step: int) -> Checkpoint:
        """
        Raises:
            RunError: there is no such checkpoint, or it has lost files or bytes; the sentence lists those there are.
        """
        whole = self.whole()
        there = ", ".join(str(one.step) for one in whole) or "none yet"
        for one in self._named():
            if one.step != step:
                continue
            if (what := damage(one.path, deep=False)) is None:
                return one
            raise RunError(
                f"the checkpoint of step {step} of {self.run.name} {what}: restore it, or choose one of those that are "
                f"whole ({there})"
            )
        raise RunError(f"the run {self.run.name} has no checkpoint of step {step}: choose one of those kept ({there})")

    def usable(self, say: Callable[[str], None]) -> Checkpoint | None:
        """The newest checkpoint whose every byte is as it was written; what is damaged before it is set aside.

        Args:
            say: is told in one sentence what was damaged and where the run goes on.
        """
        torn, found = [], None
        for one in reversed(self._named()):
            what = damage(one.path, deep=True)
            if what is None:
                found = one
                break
            torn.append(f"the checkpoint of step {one.step} {what} and is kept as {set_aside(one.path)}")
        if torn:
            rest = "from the base, as there is no other" if found is None else f"from step {found.step}"
            say(f"{'; '.join(torn)}: the run goes on {rest}")
        return found

    @contextmanager
    def saving(self, step: int) -> Iterator[Path]:
        """A fresh folder to write into; it becomes ``step-N`` when the block ends well.

        The journal is put on the disk first, so that it never lacks a step that a checkpoint is past.

        Raises:
            RunFailed: the disk is full or broken; the checkpoints before are as they were.
        """
        final = self.folder / f"step-{step}"
        with disk(self.folder, f"the checkpoint of step {step}"), whole_folder(final) as beside:
            yield beside
            journal = self.run / "metrics.jsonl"
            if journal.is_file():
                sync_file(journal)

    def best(self, count: int = 1) -> list[Checkpoint]:
        """Those with the highest success without skills, measured at that very step, the best first; of equal ones the
        earlier."""
        from sdar_cli.tracking.journal import Journal

        measured = {row["step"]: row[SUCCESS] for row in Journal(self.run / "metrics.jsonl").read([SUCCESS])}
        known = [one for one in self.whole() if _is_number(measured.get(one.step))]
        return sorted(known, key=lambda one: (-measured[one.step], one.step))[:count]

    def kept(self, newest: int, best: int = 0) -> list[Checkpoint]:
        """Of the whole ones, those that stay when only so many of the newest and of the best do."""
        good = self.best(best) if best else []
        whole = self.whole()
        return [one for one in whole if one in good or one in whole[-newest:]]

    def prune(self, newest: int, best: int = 0) -> None:
        """Remove all others, and leftovers of cut-short writes; what is damaged stays."""
        kept = {one.path for one in self.kept(newest, best)}
        whole = {one.path for one in self.whole()}
        for one in self._named():
            if one.path not in kept and (one.path in whole or not is_marked(one.path)):
                remove_whole(one.path)
        self._sweep()

    def recover(self) -> None:
        """Put right what a kill left; for a process that holds the run's lock."""
        if not self.folder.is_dir():
            return
        for path in sorted(self.folder.iterdir()):
            replaced = _REPLACED.fullmatch(path.name)
            if replaced is None or damage(path, deep=True) is not None:
                continue
            if not os.path.lexists(path.with_name(replaced[1])):
                os.rename(path, path.with_name(replaced[1]))
        self._sweep()

    def _sweep(self) -> None:
        for path in self.folder.glob(".step-*"):
            shutil.rmtree(path, ignore_errors=True)

    def _named(self) -> list[Checkpoint]:
        """Every folder with a checkpoint's name, by ascending step."""
        found = []
        for path in self.folder.glob("step-*"):
            if (match := re.fullmatch(r"step-(0|[1-9]\d{0,17})", path.name)) and path.is_dir():
                found.append(Checkpoint(int(match[1]), path))
        return sorted(found, key=lambda checkpoint: checkpoint.step)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
