"""Many runs at a glance: what ``run.json`` and the report say, read as plain data.

A store of thousands is listed in about a second, so the recipe is not validated: what a field lacks, or has of a kind
that it cannot be, is None.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import NoneType
from typing import Any

from sdar_cli.errors import RunError
from sdar_cli.reading import Unreadable, read_json, read_text
from sdar_cli.runs.checkpoints import SUCCESS
from sdar_cli.runs.lock import RunLock
from sdar_cli.runs.state import LARGEST, LAST_MOMENT
from sdar_cli.tracking.journal_tail import newest_rows

OVER = ("finished", "collapsed", "interrupted", "failed")
STUDY_RUN = re.compile(r"(?P<study>.+)-c(?P<cell>\d{3,})-s\d+")
"""How a study names its runs."""
NEEDED = ("name", "recipe", "recipe_digest")
KINDS = {
    **dict.fromkeys((*NEEDED, "status"), (str,)),
    **dict.fromkeys(("settings", "origins", "versions"), (dict,)),
    **dict.fromkeys(("mlflow_run_id", "tracking_uri", "experiment", "error", "git_commit"), (str, NoneType)),
    "warnings": (list,),
}
"""Of the values of ``run.json``, as far as a list of runs looks."""
LARGEST_REPORT = 16 << 20
LARGEST_RECIPE = 1 << 20


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


def list_all(root: Path, left_out: list[Path] | None = None) -> list[Listed]:
    """The runs under a folder, the oldest first.

    Args:
        left_out: is given the folders whose ``run.json`` is damaged.
    """
    found = []
    for folder in _folders(root.absolute()):
        run = listed(folder)
        if run is not None:
            found.append(run)
        elif left_out is not None:
            left_out.append(folder)
    return sorted(found, key=lambda run: (run.started, run.name))


def _folders(root: Path) -> list[Path]:
    """Those with anything called ``run.json`` in them."""
    try:
        names = os.listdir(root)
    except OSError:
        return []
    return [root / name for name in names if os.path.lexists(root / name / "run.json")]


def listed(folder: Path) -> Listed | None:
    """One run; None where ``run.json`` is damaged."""
    try:
        state = read_json(folder / "run.json", LARGEST)
    except Unreadable:
        return None
    if not isinstance(state, dict) or not all(key in state for key in NEEDED):
        return None
    if not all(type(state[key]) in kinds for key, kinds in KINDS.items() if key in state):
        return None
    step, steps = _count(state, "step", 0), _count(state, "steps")
    started, ended = _moment(state.get("started")), _moment(state.get("ended"))
    if step is None or steps is None or started is None or (ended is None and state.get("ended") is not None):
        return None
    settings = _map(state, "settings")
    tracking = _map(settings, "tracking")
    study, cell = _study(folder.name, _text(_map(tracking, "tags"), "sdar.study"))
    success, with_skills = _success(folder)
    return Listed(
        name=folder.name,
        folder=folder,
        status=_status(folder, str(state.get("status", "created"))),
        step=step,
        steps=steps,
        started=started,
        ended=ended,
        recipe=state["recipe"],
        method=_text(settings, "method") or _from_yaml(folder, "method"),
        environment=_text(_map(settings, "environment"), "name"),
        seed=_count(settings, "seed"),
        group=_text(tracking, "group"),
        note=_text(tracking, "note") or "",
        study=study,
        cell=cell,
        success=success,
        success_skills=with_skills,
        mlflow_run_id=_text(state, "mlflow_run_id"),
        tracking_uri=_text(state, "tracking_uri"),
        experiment=_text(state, "experiment"),
    )


def _map(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = values.get(key)
    return found if isinstance(found, dict) else {}


def _text(values: Mapping[str, Any], key: str) -> str | None:
    found = values.get(key)
    return found if isinstance(found, str) else None


def _count(values: Mapping[str, Any], key: str, missing: int | None = None) -> int | None:
    found = values.get(key, missing)
    return found if type(found) is int and found >= 0 else None


def _moment(value: Any) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LAST_MOMENT:
        return float(value)
    return None


def _status(folder: Path, status: str) -> str:
    if status in OVER:
        return status
    try:
        return status if RunLock(folder).is_held() else "lost"
    except RunError:  # nobody can tell
        return status


def _study(name: str, study: str | None) -> tuple[str | None, int | None]:
    match = STUDY_RUN.fullmatch(name)
    if study is None or match is None or match["study"] != study:
        return study, None
    return study, int(match["cell"])


def _success(folder: Path) -> tuple[float | None, float | None]:
    try:
        cell = read_json(folder / "evaluations" / "report.json", LARGEST_REPORT)["cells"][-1]
        return _share(cell["no_skills"]), _share(cell["skills"])
    except (Unreadable, ValueError, LookupError, TypeError):
        return _last_evaluation(folder), None


def _share(cell: Mapping[str, Any]) -> float:
    """Raises an error where there is none."""
    value = cell["success"]["estimate"]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return float(value)


def _last_evaluation(folder: Path) -> float | None:
    """Of a run without a report: the latest evaluation in its journal, the base's left out."""
    for row in newest_rows(folder / "metrics.jsonl", SUCCESS.encode()):
        value = row.get(SUCCESS)
        if row.get("step") and value is not None and value == value:  # no NaN
            return float(value)
    return None


def _from_yaml(folder: Path, key: str) -> str | None:
    """A top-level word of the recipe of a run that is older than ``settings``."""
    try:
        text = read_text(folder / "recipe.yaml", LARGEST_RECIPE)
    except Unreadable:
        return None
    found = re.search(rf"^{key}: *([\w-]+)", text, re.MULTILINE)
    return found[1] if found else None
