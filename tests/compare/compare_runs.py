"""Run folders made up of given outcomes, written as a training writes them.

    make_run(root, "a", seed=1, method="grpo", won=0.6, settings={"gate.temperature": 0.2})

Import it after ``sys.path.insert(0, str(Path(__file__).parent))``, or from another folder with that folder's path.
"""

from __future__ import annotations

import gzip
import json
import math
import random
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from sdar_cli.evaluation.result import EpisodeRecord, Evaluation
from sdar_cli.evaluation.transcripts import head_of
from sdar_cli.recipe.load import ResolvedRecipe, load_recipe
from sdar_cli.runs.state import RunState, RunStatus
from sdar_cli.runs.store import RunFolder
from sdar_cli.statistics.seeds import ROUNDING

Outcomes = float | Sequence[bool]
"""A share of the tasks, chosen by the run's name, or an outcome a task."""
TYPES = ("clean", "heat", "cool")
TASKS = 40
PANEL = "ab" * 32
BANK = "cd" * 32
SAMPLING = {"temperature": 0.4, "top_p": 1.0, "top_k": 0, "max_turns": 10, "context": "window", "history": 2}


def make_run(
    root: Path,
    name: str,
    *,
    seed: int = 0,
    method: str = "sdar",
    won: Outcomes = 0.6,
    with_skills: Outcomes = 0.9,
    base: Outcomes = 0.1,
    base_skills: Outcomes = 0.9,
    settings: Mapping[str, Any] = {},
    steps: int = 20,
    every: int = 5,
    curve: Mapping[int, Outcomes] | None = None,
    tasks: int = TASKS,
    scores: Sequence[float] | None = None,
    status: RunStatus = RunStatus.FINISHED,
    started: float | None = None,
    recipe: str = "quickstart",
    conditions: Mapping[str, Any] = {},
    journal: bool = True,
    transcripts: bool | Mapping[str, Sequence[Mapping[str, Any]]] = False,
) -> RunFolder:
    """Write a run and return its folder.

    Args:
        won, with_skills, base, base_skills: the trained weights without and with skills, the base likewise.
        settings: dotted keys of the recipe beside ``seed``, ``method`` and ``train.steps``.
        every: steps between evaluations without skills; 0: none between base and end.
        curve: step → outcomes of those evaluations; else a straight line from the base to the end.
        scores: native scores of the trained weights without skills; else 1 where solved.
        recipe: a shipped recipe's name or a file.
        conditions: fields of every ``Evaluation`` instead (``panel``, ``bank_digest``, ``sampling``, ``facts``, …).
        transcripts: what ``transcripts/<name>.jsonl.gz`` holds, an entry a line, by the evaluation's name; True:
            a few episodes in the form that ``sdar`` writes.
    """
    resolved = _resolved(recipe, method, seed, steps, json.dumps(dict(settings), sort_keys=True))
    path = root.absolute() / name
    (path / "evaluations").mkdir(parents=True)
    (path / "checkpoints").mkdir()
    _write(path / "run.json", _state(name, resolved, status, started, steps).model_dump(mode="json"))
    tasks = len(won) if isinstance(won, Sequence) else tasks
    common = {"environment": resolved.recipe.environment.name, "run": name} | dict(conditions)
    points = curve if curve is not None else _line(base, won, steps, every, tasks)
    evaluations = [
        evaluation("no_skills", "base", outcomes(base, tasks, f"{name} base"), **common),
        evaluation("skills", "base", outcomes(base_skills, tasks, f"{name} base skills"), **common),
        *(
            evaluation("no_skills", "trained", outcomes(share, tasks, f"{name} {step}"), step=step, **common)
            for step, share in points.items()
        ),
        evaluation("no_skills", "trained", outcomes(won, tasks, name), step=steps, scores=scores, **common),
        evaluation("skills", "trained", outcomes(with_skills, tasks, f"{name} skills"), step=steps, **common),
    ]
    for made in evaluations:
        _write(path / "evaluations" / f"{made.name}.json", made.to_json())
    if journal:
        _journal(path / "metrics.jsonl", evaluations, steps, name)
    if transcripts:
        _transcripts(path / "transcripts", transcripts, evaluations)
    return RunFolder(path)


def make_study(root: Path, name: str, axes: Sequence[Mapping[str, Any]], cells: int, seeds: Sequence[int]) -> Path:
    """The ``study.json`` of a study, as far as a comparison reads it; its runs are ``NAME-c000-s0``, …"""
    folder = root / "studies" / name
    folder.mkdir(parents=True)
    whole = [
        {"choices": None, "low": None, "high": None, "log": False, "step": None, "integer": False, **axis}
        for axis in axes
    ]
    spec = {"format": 1, "name": name, "axes": whole, "cells": cells, "seeds": list(seeds)}
    _write(folder / "study.json", {"format": 1, "created": 1.0, "storage": None, "spec": spec})
    return folder


def evaluation(
    mode: Any, label: str, won: Sequence[bool], *, step: int = 0, scores: Sequence[float] | None = None, **changes: Any
) -> Evaluation:
    """An evaluation of tasks t000, t001, … whose types come in turns."""
    records = tuple(
        EpisodeRecord(
            task_id=f"t{i:03d}",
            task_type=TYPES[i % len(TYPES)],
            won=bool(solved),
            score=float(solved) if scores is None else float(scores[i]),
            reward=10.0 * solved,
            turns=4 + i % 3,
            response_tokens=40 + i % 7,
            prompt_tokens=400 + 10 * (mode == "skills"),
            invalid_turns=i % 2,
            stop="success" if solved else "max_turns",
            skills=("general",) if mode == "skills" else (),
        )
        for i, solved in enumerate(won)
    )
    values: dict[str, Any] = {
        "mode": mode,
        "label": label,
        "environment": "household",
        "panel": PANEL,
        "sampling": SAMPLING,
        "seed": 0,
        "engine": "hf",
        "records": records,
        "seconds": 3.0,
        "checkpoint": f"step-{step}" if step else "base",
        "step": step,
        "bank": "household",
        "bank_digest": BANK,
        "split": "test",
    }
    return Evaluation(**(values | changes))


def over_seeds(values: Sequence[float], grid: float | None = 1 / TASKS) -> tuple[float, float, float]:
    """Ends of Student's 95 % interval of a mean over seeds, and p, from scipy's t; ``grid``: the step of a value."""
    from scipy import stats

    error = math.sqrt(rounded_variance(values, grid) / len(values))
    center, freedom = float(np.mean(values)), len(values) - 1
    low, high = stats.t.interval(0.95, freedom, center, error)
    return float(low), float(high), 2 * float(stats.t.sf(abs(center) / error, freedom))


def rounded_variance(values: Sequence[float], grid: float | None = 1 / TASKS) -> float:
    """Of values over seeds, with what rounding to the grid may hide."""
    return float(np.var(values, ddof=1)) + (0.0 if grid is None else (ROUNDING * grid) ** 2)


def outcomes(share: Outcomes, tasks: int, key: str) -> list[bool]:
    """So large a share of the tasks, to the nearest one; which, depends on the key."""
    if isinstance(share, Sequence):
        return [bool(one) for one in share]
    order = list(range(tasks))
    random.Random(key).shuffle(order)
    solved = set(order[: round(share * tasks)])
    return [i in solved for i in range(tasks)]


def journal_values(step: int, name: str = "") -> dict[str, float]:
    """What a training step logs, made up: a smooth course, a little different for every name."""
    shift = random.Random(name).random() / 20
    turns = {
        f"{signal}/turn_{turn:02d}/mean": start + shift + 0.01 * turn
        for signal, start in (("gap", -0.1), ("gate", 0.4))
        for turn in range(4)
    }
    return {
        "rollout/success": min(1.0, 0.1 + 0.02 * step + shift),
        "gap/mean": -0.117 + 0.004 * step + shift,
        "gate/mean": 0.4 + shift,
        "gate/active": 0.3 + 0.01 * step,
        "policy/kl": 0.001 * step + shift,
        "policy/entropy": 0.5 - 0.01 * step,
        "rollout/turns": 6.0,
        "time/generation": 1.0,
        "time/environment": 0.25,
        "time/teacher": 0.5,
        "time/scoring": 0.25,
        "time/training": 1.0,
        **turns,
    }


def _resolved(recipe: str, method: str, seed: int, steps: int, settings: str) -> ResolvedRecipe:
    found = _loaded(recipe, method, steps, settings)
    changed = found.recipe.model_copy(update={"seed": seed})
    return ResolvedRecipe(changed, found.origins | {"seed": f"the override seed={seed}"}, found.source)


@lru_cache(maxsize=1000)
def _loaded(recipe: str, method: str, steps: int, settings: str) -> ResolvedRecipe:
    overrides = [f"{key}={json.dumps(value)}" for key, value in json.loads(settings).items()]
    return load_recipe(recipe, overrides=[f"method={method}", f"train.steps={steps}", *overrides])


def _state(name: str, resolved: ResolvedRecipe, status: RunStatus, started: float | None, steps: int) -> RunState:
    begun = 1_000_000.0 + sum(name.encode()) if started is None else started
    return RunState(
        name=name,
        recipe=resolved.recipe.name,
        recipe_digest="0" * 64,
        settings=resolved.recipe.model_dump(mode="json"),
        origins=resolved.origins,
        status=status,
        step=steps,
        steps=steps,
        started=begun,
        ended=begun + 100.0 if status.is_over else None,
        mlflow_run_id=f"{random.Random(name).getrandbits(128):032x}",
        git_commit="f" * 40,
    )


def _line(base: Outcomes, won: Outcomes, steps: int, every: int, tasks: int) -> dict[int, Outcomes]:
    ends = [sum(share) / tasks if isinstance(share, Sequence) else share for share in (base, won)]
    places = range(every, steps, every) if every else ()
    return {step: ends[0] + (ends[1] - ends[0]) * step / steps for step in places}


def _journal(path: Path, evaluations: Sequence[Evaluation], steps: int, name: str) -> None:
    lines: list[dict[str, Any]] = [{"step": 0, **one.metrics()} for one in evaluations if one.label == "base"]
    at = {step: [one for one in evaluations if one.step == step and one.label != "base"] for step in range(steps + 1)}
    for step in range(1, steps + 1):
        lines.append({"step": step, **journal_values(step, name)})
        lines.extend({"step": step, **one.metrics()} for one in at[step])
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def _transcripts(
    folder: Path, given: bool | Mapping[str, Sequence[Mapping[str, Any]]], evaluations: Sequence[Evaluation]
) -> None:
    folder.mkdir()
    contents = given if isinstance(given, Mapping) else {one.name: _episodes(one) for one in _ends(evaluations)}
    for name, entries in contents.items():
        with gzip.open(folder / f"{name}.jsonl.gz", "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(entry) + "\n" for entry in entries)


def _ends(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    last = max(one.step or 0 for one in evaluations)
    return [one for one in evaluations if one.step in (0, last)]


def _episodes(one: Evaluation, count: int = 4) -> list[dict[str, Any]]:
    """A head, and the first tasks of the evaluation, two turns each."""
    chance = random.Random(one.name)
    return [
        head_of(one, {"general": "Look first."}, {"made": "up"}),
        *(_episode(r, chance) for r in one.records[:count]),
    ]


def _episode(record: EpisodeRecord, chance: random.Random) -> dict[str, Any]:
    turns = []
    for action in ("look", "take cup"):
        tokens = ["<action>", *action.split(), "</action>"]
        gap = None if record.skills else [round(chance.gauss(0, 1), 4) for _ in tokens]
        gate = None if gap is None else [round(1 / (1 + math.exp(-5 * one)), 3) for one in gap]
        answer = {"action": action, "invalid": None, "answer": "You see a cup.", "reward": 0.0, "truncated": False}
        turns.append({"tokens": tokens, "gap": gap, "gate": gate, **answer})
    return {
        "task": record.task_id,
        "type": record.task_type,
        "goal": "take the cup",
        "won": record.won,
        "score": record.score,
        "reward": record.reward,
        "stop": record.stop,
        "error": None,
        "skills": list(record.skills),
        "prompt": "You are in a room.",
        "read": "You are in a room.",
        "turns": turns,
    }


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n")
