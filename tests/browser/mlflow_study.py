"""A store as a study leaves it, made without training: four runs below it, with all that MLflow shows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient

from sdar_cli.evaluation.panel import Panel
from sdar_cli.evaluation.report import InternalisationReport
from sdar_cli.evaluation.result import EpisodeRecord, Evaluation
from sdar_cli.rollout.episode import Episode, StopReason, Turn
from sdar_cli.sweep.publish import open_parent, publish
from sdar_cli.sweep.space import read_words
from sdar_cli.sweep.spec import StudySpec
from sdar_cli.sweep.view import CellView, RunView, StudyView
from sdar_cli.tracking import labels, tables
from sdar_cli.tracking.location import sqlite_uri
from sdar_cli.tracking.registry import Version
from sdar_cli.tracking.tracker import Tracker
from sdar_envs.base import Task

STUDY, EXPERIMENT, TASKS = "gate-study", "toy", 20
SETTINGS = [{"gate.temperature": value} for value in (0.1, 5.0)]


@dataclass(frozen=True, slots=True)
class Made:
    experiment: str
    """Its id."""
    parent: str
    runs: dict[str, str]
    """Name → MLflow's id."""


def make(root: Path) -> Made:
    store = sqlite_uri(root / "mlflow.db")
    spec = StudySpec(
        name=STUDY,
        recipe="quickstart",
        layers=(),
        recipe_yaml=f"name: {EXPERIMENT}\nevaluation: {{tasks: {TASKS}}}\n",
        axes=read_words(["gate.temperature=0.1,5"])[0],
        search="grid",
        cells=2,
        settings=tuple(SETTINGS),
        seeds=(1, 2),
        tracking_uri=store,
        note="Does a sharper gate help?",
    )
    _, parent = open_parent(spec, root)
    spec = spec.model_copy(update={"mlflow_parent": parent})
    cells, runs = [], {}
    for index, params in enumerate(SETTINGS):
        views = []
        for seed in spec.seeds:
            name, solved = spec.run_name(index, seed), 12 - 6 * index + seed
            tracker = _training(store, root, name, seed, solved, parent)
            runs[name] = tracker.run_id
            result = {"success": solved / TASKS, "success_skills": 0.9, "score": 5.0 * solved, "score_skills": 90.0}
            views.append(RunView(index, seed, name, "done", (), result | {"mlflow_run_id": tracker.run_id}))
        mean = sum(run.result["success"] for run in views) / 2
        cells.append(CellView(index, params, spec.label(params), "done", tuple(views), mean))
    publish(StudyView(spec, tuple(cells), paused=False, created=1.0, root=root), root / "studies" / STUDY)
    return Made(MlflowClient(store).get_run(parent).info.experiment_id, parent, runs)


def _training(store: str, root: Path, name: str, seed: int, solved: int, parent: str) -> Tracker:
    tags = {
        "sdar.kind": "training",
        "sdar.study": STUDY,
        "sdar.run": name,
        "sdar.method": "sdar",
        "sdar.seed": str(seed),
        "sdar.group": STUDY,
        labels.STATUS: "finished",
    }
    tracker = Tracker.start(store, EXPERIMENT, name, f"name: {EXPERIMENT}\n", {"seed": seed}, tags, parent=parent)
    tracker.panel(Panel("toy", "0" * 64, "test", 0, tuple(f"t{i}" for i in range(TASKS))), root / "panel.json")
    cells = [("no_skills", "base", 3, None), ("skills", "base", 18, None)]
    cells += [("no_skills", "trained", solved, 8), ("skills", "trained", 18, 8)]
    report = InternalisationReport.build(*(_evaluation(*cell) for cell in cells))
    for evaluation in (report.base_without, report.base_with, report.trained_without, report.trained_with):
        tracker.evaluation(evaluation)
    tracker.table(tables.of_report(report))
    tracker.table(tables.of_tasks(report))
    tracker.episodes(8, [_episode(number, number < 2) for number in range(3)], "no_skills")
    _plots(tracker, root / name)
    description = tables.of_report(report).markdown
    tracker.describe(f"**sdar** in toy.\n\n{description}\n\n```\nsdar eval {name} --both\n```")
    tracker.register(Version(EXPERIMENT, _checkpoint(root / name), 8, "name: toy\n", description, {"sdar.step": "8"}))
    tracker.finish()
    return tracker


def _evaluation(mode: str, label: str, solved: int, step: int | None) -> Evaluation:
    records = tuple(
        EpisodeRecord(f"t{i}", "clean", i < solved, float(i < solved), 0.0, 3, 5, 9, 0, "success") for i in range(TASKS)
    )
    bank = {"bank": "toy", "bank_digest": "cd" * 32} if mode == "skills" else {}
    return Evaluation(mode, label, "toy", "ab" * 32, {"temperature": 0.4}, 0, "hf", records, 1.0, step=step, **bank)


def _episode(number: int, won: bool) -> Episode:
    made = Episode(Task(f"t{number}", "clean"), f"wash mug {number}", number, 0, ("general", "clean"))
    made.won, made.score, made.stop = won, float(won), StopReason.SUCCESS if won else StopReason.MAX_TURNS
    for index in range(2):
        turn = Turn(
            index=index,
            prompt_ids=[1] * 20,
            teacher_prompt_ids=None,
            response_ids=[2] * 5,
            logprobs=None,
            prompt_text="You are in a kitchen.",
            response="<action>go to sink</action>",
            action="go to sink",
            invalid=None,
            observation=f"you see sink {index}",
            reward=0.0,
        )
        made.turns.append(turn)
    return made


def _plots(tracker: Tracker, folder: Path) -> None:
    from matplotlib import rc_context

    from sdar_cli.tracking.plots.gallery import PLOTS, STYLE, _save

    rows = [{"step": step, "rollout/success": step / 10} for step in range(1, 9)]
    folder.mkdir(parents=True, exist_ok=True)
    with rc_context(STYLE):
        figure = PLOTS["success"](rows)
        assert figure is not None
        tracker.artifact_file(_save(figure, folder / "success.png"), "plots")


def _checkpoint(folder: Path) -> Path:
    checkpoint = folder / "checkpoints" / "step-8"
    checkpoint.mkdir(parents=True)
    (checkpoint / "config.json").write_text(json.dumps({"model_type": "qwen3"}))
    (checkpoint / "model.safetensors").write_bytes(b"weights")
    return checkpoint
