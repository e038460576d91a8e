"""What a run's folder says to a study: whether it is over, its result, its evaluations so far."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any, Literal

from sdar_cli.reading import Unreadable, open_regular, read_json
from sdar_cli.runs.checkpoints import SUCCESS
from sdar_cli.runs.listing import LARGEST_REPORT
from sdar_cli.runs.lock import RunLock
from sdar_cli.runs.manifest import damage
from sdar_cli.runs.state import LARGEST
from sdar_cli.tracking.journal import Journal

FolderState = Literal["absent", "over", "open", "damaged"]
"""``damaged``: without a run.json that can be read; no kill leaves that, as a run's folder appears whole."""
OVER = ("finished", "collapsed")

SCORE = "eval/no_skills/score"
TAIL = 1 << 20
"""Bytes at the end of a log in which the last error is looked for."""

Triple = tuple[int, float, float | None]
"""Step, success without skills, score without skills × 100."""


def folder_state(folder: Path) -> FolderState:
    if not folder.exists():
        return "absent"
    state = run_json(folder)
    if state is None:
        return "damaged"
    return "over" if state.get("status") in OVER else "open"


def run_json(folder: Path) -> dict[str, Any] | None:
    """``run.json`` as plain data; None where it is missing or damaged."""
    try:
        content = read_json(folder / "run.json", LARGEST)
    except Unreadable:
        return None
    return content if isinstance(content, dict) else None


def trains(folder: Path, recipe: Path) -> bool:
    """Whether a run's folder holds what a recipe asks for; where it is tracked does not count.

    Raises:
        RecipeError: one of the two cannot be read.
    """
    from sdar_cli.recipe.load import load_recipe

    files = (folder / "recipe.yaml", recipe)
    there, wanted = (load_recipe(str(file), check_environment=False).recipe for file in files)
    return there.model_dump(exclude={"tracking"}) == wanted.model_dump(exclude={"tracking"})


def is_busy(folder: Path) -> bool:
    """Whether some process works on the run."""
    return folder.exists() and RunLock(folder).is_held()


def checkpoint_step(folder: Path) -> int:
    """Step of the newest whole checkpoint; 0 where there is none."""
    steps = [
        int(path.name[5:])
        for path in (folder / "checkpoints").glob("step-*")
        if path.name[5:].isdecimal() and damage(path, deep=False) is None
    ]
    return max(steps, default=0)


def read_result(folder: Path) -> dict[str, Any] | None:
    """The result of a run that is over (see ``RunView.result``, less ``seconds``); None where it has none."""
    state = run_json(folder)
    try:
        report = read_json(folder / "evaluations" / "report.json", LARGEST_REPORT)
        trained = report["cells"][-1]
        without, with_skills = trained["no_skills"], trained["skills"]
        result = {
            "success": _number(without["success"]["estimate"]),
            "success_skills": _number(with_skills["success"]["estimate"]),
            "score": _number(without["score"]),
            "score_skills": _number(with_skills["score"]),
        }
    except (Unreadable, LookupError, TypeError):
        return None
    if state is None or state.get("status") not in OVER or type(state.get("step")) is not int:
        return None
    return result | {
        "steps": state["step"],
        "collapsed": state["status"] == "collapsed",
        "mlflow_run_id": state.get("mlflow_run_id"),
        "evaluations": [list(triple) for triple in evaluations(folder)],
    }


def evaluations(folder: Path) -> list[Triple]:
    """The evaluations without skills of a run so far, by step, the base's (step 0) left out."""
    found = []
    for row in Journal(folder / "metrics.jsonl").read([SUCCESS, SCORE]):
        success = row.get(SUCCESS)
        if success is None or math.isnan(success) or row["step"] <= 0:
            continue
        score = row.get(SCORE)
        found.append((int(row["step"]), success, None if score is None or math.isnan(score) else score))
    return found


def failure(folder: Path, log: Path) -> str:
    """Why a training failed, in one sentence: what it wrote down, else the last error that it printed."""
    state = run_json(folder)
    if state is not None and state.get("status") == "failed" and state.get("error"):
        return one_line(str(state["error"]))
    try:
        with open_regular(log) as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL))
            text = file.read(TAIL).decode("utf-8", "replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
    except (Unreadable, OSError):
        lines = []
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    if errors:
        return one_line(errors[-1])
    return one_line(lines[-1]) if lines else f"it left without a word (see {log})"


def _number(value: Any) -> float:
    """Raises TypeError where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return float(value)


def one_line(text: str) -> str:
    """At most 500 characters, without line ends or control characters."""
    text = " ".join(text.split())
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    return text if len(text) <= 500 else text[:499] + "…"
