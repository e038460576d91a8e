"""Many runs at a glance: what ``run.json`` and the report say, read as plain data.

A store of thousands is listed in about a second, so nothing is validated: what a field lacks is None.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sdar_cli.runs.lock import RunLock

OVER = ("finished", "collapsed", "interrupted", "failed")
STUDY_RUN = re.compile(r"(?P<study>.+)-c(?P<cell>\d{3,})-s\d+")
"""How a study names its runs."""
TAIL = 64 * 1024
"""Bytes at the end of a journal in which the last evaluation is looked for."""


@dataclass(frozen=True, slots=True)
class Listed:
    name: str
    folder: Path
    status: str
    """As ``RunFolder.status``: ``lost`` where the process went without a word."""
    step: int
    steps: int
    started: float
    ended: float | None
    recipe: str
    method: str | None
    environment: str | None
    seed: int | None
    group: str | None
    note: str
    study: str | None
    cell: int | None
    success: float | None
    """Share solved without skills, by the last checkpoint's evaluation; while training, by the latest one."""
    success_skills: float | None
    mlflow_run_id: str | None
    tracking_uri: str | None
    experiment: str | None

    def to_json(self) -> dict[str, Any]:
        values = asdict(self) | {"folder": str(self.folder)}
        return {key: value for key, value in values.items() if key != "tracking_uri"}


def list_all(root: Path) -> list[Listed]:
    """The runs under a folder, the oldest first; damaged ones are left out."""
    found = [listed(file.parent) for file in root.absolute().glob("*/run.json")]
    return sorted((run for run in found if run is not None), key=lambda run: (run.started, run.name))


def listed(folder: Path) -> Listed | None:
    """One run; None where ``run.json`` is damaged."""
    try:
        state = json.loads((folder / "run.json").read_bytes())
        settings = state.get("settings") or {}
        tracking = settings.get("tracking") or {}
        study, cell = _study(folder.name, tracking.get("tags") or {})
        success, with_skills = _success(folder)
        return Listed(
            name=folder.name,
            folder=folder,
            status=_status(folder, str(state["status"])),
            step=int(state.get("step", 0)),
            steps=int(state["steps"]),
            started=float(state["started"]),
            ended=state.get("ended"),
            recipe=str(state["recipe"]),
            method=settings.get("method") or _from_yaml(folder, "method"),
            environment=(settings.get("environment") or {}).get("name"),
            seed=settings.get("seed"),
            group=tracking.get("group"),
            note=tracking.get("note") or "",
            study=study,
            cell=cell,
            success=success,
            success_skills=with_skills,
            mlflow_run_id=state.get("mlflow_run_id"),
            tracking_uri=state.get("tracking_uri"),
            experiment=state.get("experiment"),
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def _status(folder: Path, status: str) -> str:
    return status if status in OVER or RunLock(folder).is_held() else "lost"


def _study(name: str, tags: Mapping[str, str]) -> tuple[str | None, int | None]:
    match = STUDY_RUN.fullmatch(name)
    study = tags.get("sdar.study")
    if study is None or match is None or match["study"] != study:
        return study, None
    return study, int(match["cell"])


def _success(folder: Path) -> tuple[float | None, float | None]:
    try:
        cell = json.loads((folder / "evaluations" / "report.json").read_bytes())["cells"][-1]
        return float(cell["no_skills"]["success"]["estimate"]), float(cell["skills"]["success"]["estimate"])
    except (OSError, ValueError, LookupError, TypeError):
        return _last_evaluation(folder), None


def _last_evaluation(folder: Path) -> float | None:
    """Of a run without a report: the latest evaluation in its journal, the base's left out."""
    try:
        with (folder / "metrics.jsonl").open("rb") as journal:
            journal.seek(0, 2)
            journal.seek(max(0, journal.tell() - TAIL))
            lines = journal.read().splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        if b"eval/no_skills/success" not in line:
            continue
        try:
            row = json.loads(line)
            value = row["eval/no_skills/success"]
        except (ValueError, LookupError, TypeError, RecursionError):
            continue
        if row.get("step") and isinstance(value, int | float) and math.isfinite(value):
            return float(value)
    return None


def _from_yaml(folder: Path, key: str) -> str | None:
    """A top-level word of the recipe of a run that is older than ``settings``."""
    try:
        found = re.search(rf"^{key}: *([\w-]+)", (folder / "recipe.yaml").read_text("utf-8"), re.MULTILINE)
    except (OSError, ValueError):
        return None
    return found[1] if found else None
