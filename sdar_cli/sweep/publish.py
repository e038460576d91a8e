"""A study in MLflow: one run that stands for it, above the runs of its cells.

The parent has the table of cells, the figures and the counts; each run of a cell is told its setting, so that the
runs page can group by it. A study that is shown twice, or by two workers at once, is shown as once.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdar_cli.errors import RunFailed, SdarError
from sdar_cli.evaluation.files import write_bytes
from sdar_cli.reading import Unreadable, read_json
from sdar_cli.recipe.yaml_reader import parse
from sdar_cli.sweep.publish_parts import child_params, child_tags, counts, note, summary, table
from sdar_cli.sweep.results import run_json
from sdar_cli.sweep.study_folder import STUDIES
from sdar_cli.sweep.view import RunView, StudyView

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from sdar_cli.sweep.spec import StudySpec

KIND, STUDY, FOLDER = "sdar.kind", "sdar.study", "sdar.folder"
LOCK = ".publish.lock"
SHOWN = ".shown.json"
"""File of a study's folder: how much of it MLflow was shown, so that a slower worker does not turn it back."""
PAGE = 1000


def open_parent(spec: StudySpec, root: Path) -> tuple[str, str]:
    """The store of a study and the id of its MLflow run, which is made once a study folder.

    Raises:
        RunFailed: the store cannot be used.
    """
    from sdar_cli.tracking import labels, notes, views
    from sdar_cli.tracking.experiment import experiment, opening
    from sdar_cli.tracking.location import kept, redact, tracking_uri, usable
    from sdar_cli.tracking.quiet import import_mlflow
    from sdar_cli.tracking.wire import one_line

    recipe = _recipe(spec)
    tracked = recipe.get("tracking") or {}
    uri = spec.tracking_uri or tracking_uri(tracked.get("uri"), root)
    folder = root.absolute() / STUDIES / spec.name
    try:
        mlflow = import_mlflow()
        with _locked(folder.with_name(f".{spec.name}.lock")), opening(uri):
            client = mlflow.MlflowClient(tracking_uri=usable(uri))
            named = tracked.get("experiment") or recipe["name"]
            experiment_id = experiment(client, uri, named)
            view = views.study(spec.name, [axis.key for axis in spec.axes])
            views.install(client, experiment_id, client.get_experiment(experiment_id).tags, view)
            wanted = f"tags.`{STUDY}` = '{spec.name}' and tags.`{KIND}` = 'study'"
            found = client.search_runs([experiment_id], wanted, max_results=PAGE)
            for run in found:
                if run.data.tags.get(FOLDER) == str(folder):
                    return kept(uri), run.info.run_id
            tags = {
                KIND: "study",
                STUDY: spec.name,
                FOLDER: str(folder),
                "sdar.recipe": recipe["name"],
                "sdar.group": spec.name,
                labels.STATUS: "running",
                "mlflow.source.name": "sdar",
                "mlflow.source.type": "LOCAL",
                notes.TAG: notes.merged(None, notes.of_study(spec.note, summary(spec), [], spec.name, root)) or "",
                "mlflow.user": labels.user(),
            }
            tags = {key: value for key, value in tags.items() if value}
            run_id = client.create_run(experiment_id, run_name=spec.name, tags=tags).info.run_id
            _log_params(client, run_id, _about(spec), {})
    except SdarError:
        raise
    except Exception as error:
        raise RunFailed(
            f"the MLflow store {redact(uri)} cannot be used ({one_line(error)}): "
            "start it, or set tracking.uri to another one"
        ) from error
    return kept(uri), run_id


def publish(view: StudyView, folder: Path) -> None:
    """Show a study as it stands: counts, table of cells, figures, and the setting of each run.

    Args:
        folder: the study's. A view that is older than what MLflow was shown is left out.

    Raises:
        whatever MLflow raises; the next call shows all of it again.
    """
    from sdar_cli.sweep.figures import draw

    if view.spec.mlflow_parent is None:
        return
    with _locked(folder / LOCK):
        if _progress(view) < _shown(folder):
            return
        figures = draw(view, folder / "figures")
        _show(view, folder, figures)
        write_bytes(folder / SHOWN, json.dumps(_progress(view)).encode())


def _show(view: StudyView, folder: Path, figures: list[Path]) -> None:
    from sdar_cli.tracking import labels, tables
    from sdar_cli.tracking.location import usable
    from sdar_cli.tracking.quiet import import_mlflow
    from sdar_cli.tracking.tracker import Tracker

    mlflow = import_mlflow()
    spec, parent = view.spec, view.spec.mlflow_parent
    client = mlflow.MlflowClient(tracking_uri=usable(spec.tracking_uri))
    run = client.get_run(parent)
    _tell_children(client, run.info.experiment_id, view)
    said: list[str] = []
    tracker = Tracker(client, spec.tracking_uri, run.info.run_id, said.append)
    tracker.metrics(sum(cell.is_over for cell in view.cells), counts(view))
    cells = table(view)
    tracker.table(cells)
    tracker.artifact_text(f"{tables.FOLDER}/{cells.name}.csv", cells.csv)
    for figure in figures:
        tracker.artifact_file(figure, "figures")
    tracker.describe(note(view, cells.markdown, folder))
    over = view.is_over
    tracker.tag(labels.STATUS, "finished" if over else "paused" if view.paused else "running")
    if over:
        tracker.finish("FINISHED")
    else:
        client.update_run(run.info.run_id, status="RUNNING")
        tracker.close()
    if said:
        raise RunFailed(said[0])


def _tell_children(client: MlflowClient, experiment_id: str, view: StudyView) -> None:
    """Tags and params that say which setting a run has; only those that are not there yet are written."""
    ours = {_tracked(view, run): (cell, run) for cell in view.cells for run in cell.runs if run.result}
    wanted = f"tags.`{STUDY}` = '{view.spec.name}' and tags.`{KIND}` != 'study'"
    token = None
    while True:
        page = client.search_runs([experiment_id], wanted, max_results=PAGE, page_token=token)
        for child in page:
            if child.info.run_id in ours:
                _tell(client, child, *ours[child.info.run_id])
        token = page.token
        if not token:
            return


def _tracked(view: StudyView, run: RunView) -> str | None:
    """The id of a run's MLflow run, which may have been made behind the run's end, when the store was there again."""
    known = run.result.get("mlflow_run_id") or (run_json(view.root / run.name) or {}).get("mlflow_run_id")
    return known if isinstance(known, str) else None


def _tell(client: MlflowClient, child: Run, cell: Any, run: Any) -> None:
    for key, value in child_tags(cell, run).items():
        if child.data.tags.get(key) != value:
            client.set_tag(child.info.run_id, key, value)
    _log_params(client, child.info.run_id, child_params(cell), child.data.params)


def _log_params(client: MlflowClient, run_id: str, params: Mapping[str, str], known: Mapping[str, str]) -> None:
    from mlflow.entities import Param

    missing = [Param(key, value) for key, value in params.items() if key not in known]
    if missing:
        client.log_batch(run_id, params=missing)


def _about(spec: StudySpec) -> dict[str, str]:
    from sdar_cli.tracking.wire import shortened

    about = {"search": spec.search, "cells": spec.total_cells, "seeds": ", ".join(map(str, spec.seeds))}
    about |= {"metric": spec.metric, "recipe": spec.recipe, "overrides": " ".join(spec.overrides)}
    about |= {f"axis {axis.key}": str(axis).partition("=")[2] for axis in spec.axes}
    return {key: shortened(value) for key, value in about.items() if value != ""}


def _recipe(spec: StudySpec) -> dict[str, Any]:
    return parse(spec.recipe_yaml, "the study's recipe").value


def _progress(view: StudyView) -> list[int]:
    """Grows with the study: cells that are over, runs that are done."""
    return [sum(cell.is_over for cell in view.cells), sum(run.state == "done" for run in view.runs)]


def _shown(folder: Path) -> list[int]:
    try:
        shown = read_json(folder / SHOWN, 1024)
    except Unreadable:
        return []
    return shown if isinstance(shown, list) and all(type(number) is int for number in shown) else []


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """One process at a time; the system releases the lock with the process."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
