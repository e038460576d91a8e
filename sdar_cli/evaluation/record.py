"""Keeps what an evaluation measured: in the run's folder and in MLflow."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sdar_cli.errors import SdarError
from sdar_cli.evaluation.report import InternalisationReport
from sdar_cli.evaluation.result import Evaluation
from sdar_cli.evaluation.single import SingleReport
from sdar_cli.runs.resolve import ModelFolder
from sdar_cli.runs.state import RunStatus
from sdar_cli.runs.store import RunFolder
from sdar_cli.training.events import Listener
from sdar_cli.workshop import Workshop

if TYPE_CHECKING:
    from sdar_cli.rollout.episode import Episode

ENDINGS = {RunStatus.INTERRUPTED: "KILLED", RunStatus.FAILED: "FAILED", RunStatus.COLLAPSED: "FAILED"}
"""MLflow's status of a run that an evaluation must leave as it was."""


def record(
    target: RunFolder | ModelFolder,
    run: RunFolder | None,
    suffix: str,
    workshop: Workshop,
    fresh: Sequence[tuple[Evaluation, Sequence[Episode]]],
    report: InternalisationReport | SingleReport,
    root: Path,
    display: Listener,
) -> str:
    """Write what was measured to the run's folder and to MLflow; a bare model gets an MLflow run of its own.

    What was measured on another panel than the run's, or under other conditions, is kept in files alone, with a hash in
    their names.
    """
    from sdar_cli.recipe.dump import dump
    from sdar_cli.tracking.leftover import later
    from sdar_cli.tracking.location import runs_option, tracking_uri
    from sdar_cli.tracking.tracker import Tracker

    recipe = workshop.recipe
    state = run.state if run is not None else None
    uri = (state and state.tracking_uri) or tracking_uri(recipe, root)
    ending = ENDINGS.get(state.status, "FINISHED") if state is not None else "FINISHED"
    with nullcontext() if run is None else later(run) as spool:
        tracker = Tracker.start(
            uri=uri,
            experiment=(state and state.experiment) or recipe.tracking.experiment or recipe.name,
            run_name=target.name,
            recipe_yaml=dump(recipe),
            params={},
            # By its folder MLflow's run is found, or made, where its training could not do that yet.
            tags={"sdar.kind": "evaluation", "sdar.model": target.name} if run is None else _folder_tag(run),
            run_id=state.mlflow_run_id if state is not None else None,
            system_metrics=False,
            spool=spool,
            salt="" if spool is None else spool.name,
            remedy=f"`sdar runs send {target.name}{runs_option(root)}` sends them",
            say=display.message,
        )
        try:
            for evaluation, episodes in fresh:
                name = evaluation.name + suffix
                if run is not None:
                    run.save_evaluation(name, evaluation.to_json())
                if run is None or not suffix:
                    tracker.evaluation(evaluation)
                else:  # the run's curves, and the files without suffix, are those of its own panel and conditions
                    tracker.artifact_text(f"evaluations/{name}.json", json.dumps(evaluation.to_json(), indent=1))
                traces = recipe.tracking.traces
                tracker.episodes(evaluation.step or 0, episodes, evaluation.mode, limit=traces)
            if run is not None:
                tracker.artifact_file(run.save_evaluation(f"report{suffix}", report.to_json()))
        except BaseException:
            with suppress(SdarError):  # of the same disk, say; it would hide why the evaluation ends
                tracker.finish(ending)
            raise
        tracker.finish(ending)
    return uri


def _folder_tag(run: RunFolder) -> dict[str, str]:
    return {} if run.state.mlflow_run_id is not None else {"sdar.folder": str(run.path)}
