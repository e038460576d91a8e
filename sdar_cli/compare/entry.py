"""A run as a comparison sees it; what is costly to read is read when it is asked for, once."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sdar_cli.errors import RunError
from sdar_cli.evaluation.result import Evaluation, Mode
from sdar_cli.reading import Unreadable, open_regular
from sdar_cli.runs.checkpoints import SUCCESS
from sdar_cli.runs.state import RunState, RunStatus
from sdar_cli.runs.store import RunFolder

_TRAINED = re.compile(r"trained(?:-step-(?P<step>\d+))?-no_skills")
_SECONDS = re.compile(rb'^ "seconds": ([-+.\deE]+),?\r?$', re.MULTILINE)
_TAIL = 8192
TIMES = ("time/generation", "time/environment", "time/teacher", "time/scoring", "time/training")
"""Seconds of the journal that add up to a training step."""


@dataclass(frozen=True, eq=False)
class Entry:
    folder: RunFolder
    state: RunState
    shown: str = ""
    """What tells it from a run of the same name in another folder; empty: its name does."""

    @property
    def name(self) -> str:
        return self.shown or self.folder.name

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """The recipe as plain data. Raises RecipeError where an old run's recipe can no longer be read."""
        if self.state.settings:
            return self.state.settings
        from sdar_cli.runs.own_recipe import own_recipe

        file = self.folder.path / "recipe.yaml"
        return own_recipe(file, check_environment=False).recipe.model_dump(mode="json")

    @property
    def seed(self) -> int:
        return self._known("seed", int)

    @property
    def method(self) -> str:
        return self._known("method", str)

    def _known(self, key: str, kind: type) -> Any:
        """Raises RunError where the run's settings lack it."""
        value = self.settings.get(key)
        if type(value) is not kind:
            raise RunError(f"the settings of the run {self.name} have no {key}: restore its run.json, or leave it out")
        return value

    @property
    def why_not(self) -> str | None:
        """Why the run cannot be compared, as the end of a sentence; None where it can."""
        if self.state.status not in (RunStatus.FINISHED, RunStatus.COLLAPSED):
            return f"not finished ({self.folder.status})"
        if self._files.get(f"{self._end}-no_skills") is None:
            return "without an evaluation of its end without skills"
        return None

    # -- evaluations --------------------------------------------------------------------------------

    def trained(self, mode: Mode) -> Evaluation | None:
        """The end of training; RunError where the file is damaged."""
        return self.no_skills if mode == "no_skills" else self.skills

    @cached_property
    def no_skills(self) -> Evaluation:
        """The end of training without skills; call only where ``why_not`` is None."""
        return Evaluation.load(self._files[f"{self._end}-no_skills"])

    @cached_property
    def skills(self) -> Evaluation | None:
        return self._load(f"{self._end}-skills")

    @cached_property
    def base_no_skills(self) -> Evaluation | None:
        return self._load("base-no_skills")

    @cached_property
    def base_skills(self) -> Evaluation | None:
        return self._load("base-skills")

    def evaluations(self) -> list[Evaluation]:
        """Base and end, in both modes, as far as they are there; the end without skills first."""
        found = (self.no_skills, self.skills, self.base_no_skills, self.base_skills)
        return [one for one in found if one is not None]

    def at(self, step: int) -> Evaluation | None:
        """The evaluation without skills after this step; None where there is no file of it."""
        if step == (self.no_skills.step or 0):
            return self.no_skills
        return self._load(f"trained-step-{step}-no_skills")

    @cached_property
    def curve(self) -> dict[int, tuple[int, int]]:
        """Step → (solved, tasks) without skills: the base, the evaluations while training, and the end.

        Those between are the journal's; the files say them where there is no journal.
        """
        found: dict[int, tuple[int, int]] = {}
        if self.base_no_skills is not None:
            found[0] = _solved(self.base_no_skills)
        between = self._journalled() if self.journal else self._filed()
        end = self.no_skills.step or 0
        found |= {step: counts for step, counts in between.items() if 0 < step < end}
        found[end] = _solved(self.no_skills)
        return dict(sorted(found.items()))

    def _journalled(self) -> dict[int, tuple[int, int]]:
        tasks = len(self.no_skills.records)
        rates = {int(row["step"]): row.get(SUCCESS) for row in self.journal}
        return {
            step: (round(rate * tasks), tasks)
            for step, rate in rates.items()
            if rate is not None and math.isfinite(rate)
        }

    def _filed(self) -> dict[int, tuple[int, int]]:
        steps = [step for step in self._steps if step]
        return {step: _solved(one) for step in steps if (one := self.at(step)) is not None}

    # -- what training cost -------------------------------------------------------------------------

    @cached_property
    def journal(self) -> list[dict[str, float]]:
        """Rows by step; empty where the file is gone."""
        from sdar_cli.tracking.journal import Journal

        return Journal(self.folder.path / "metrics.jsonl").read()

    @cached_property
    def seconds(self) -> float | None:
        """Rollouts and updates, by the journal; None where it has no times."""
        found = [row[name] for row in self.journal for name in TIMES if math.isfinite(row.get(name, math.nan))]
        return math.fsum(found) if found else None

    @cached_property
    def device_seconds(self) -> float | None:
        """Training and the run's own evaluations on the one device that a process has; the warm-up, which runs
        share, is not in it."""
        if self.seconds is None:
            return None
        ends = math.fsum(one.seconds for one in self.evaluations())
        end = self.no_skills.step or 0
        between = [self._files[f"trained-step-{step}-no_skills"] for step in self._steps if 0 < step < end]
        return self.seconds + ends + math.fsum(map(_seconds, between))

    # -- files --------------------------------------------------------------------------------------

    @cached_property
    def _files(self) -> dict[str, Path]:
        return self.folder.evaluations()

    @cached_property
    def _steps(self) -> list[int]:
        """Steps of the evaluations of the run's own panel, without skills."""
        return sorted(int(match["step"] or 0) for name in self._files if (match := _TRAINED.fullmatch(name)))

    @cached_property
    def _end(self) -> str:
        """The name, up to its mode, of the evaluation that ended the run."""
        known = self.state.step in self._steps or not self._steps
        step = self.state.step if known else self._steps[-1]
        return f"trained-step-{step}" if step else "trained"

    def _load(self, name: str) -> Evaluation | None:
        file = self._files.get(name)
        return None if file is None else Evaluation.load(file)


def _solved(evaluation: Evaluation) -> tuple[int, int]:
    return sum(record.won for record in evaluation.records), len(evaluation.records)


def _seconds(file: Path) -> float:
    """``seconds`` of an evaluation without reading its records, which stand before it."""
    with suppress(Unreadable, OSError, ValueError), open_regular(file) as stream:
        stream.seek(0, 2)
        stream.seek(max(0, stream.tell() - _TAIL))
        if (found := _SECONDS.findall(stream.read(_TAIL))) and math.isfinite(seconds := float(found[-1])):
            return seconds
    return Evaluation.load(file).seconds
