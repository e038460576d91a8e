"""A warm-up in MLflow: a run of its own beside the trainings that start from it, once a store.

Whoever finds such a run unfinished writes all of it again, as the one that began it was killed, or is at it now:
times follow from the run's own beginning, so that what is there already is the same and is not doubled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdar_cli.tracking.experiment import experiment as find_experiment
from sdar_cli.tracking.experiment import opening
from sdar_cli.tracking.location import usable
from sdar_cli.tracking.quiet import import_mlflow
from sdar_cli.tracking.wire import METRICS_PER_CALL, PARAMS_PER_CALL, batches, metric_name, shortened

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

    from sdar_cli.recipe.schema import Recipe
    from sdar_cli.training.warmup_cache import WarmBase

TAG = "sdar.warmup"
"""The warm-up's key, on its own run and on every training that started from it."""


def track_warmup(warm: WarmBase, recipe: Recipe, uri: str) -> Exception | None:
    """Write the warm-up's curves unless the experiment has them; returns why that was not possible now."""
    try:
        with opening(uri):
            client = import_mlflow().MlflowClient(tracking_uri=usable(uri))
            experiment = find_experiment(client, uri, recipe.tracking.experiment or recipe.name)
        found = client.search_runs([experiment], f"tags.`{TAG}` = '{warm.key}' and tags.`sdar.kind` = 'warm-up'")
        if any(run.info.status == "FINISHED" for run in found):
            return None
        tags = {TAG: warm.key, "sdar.kind": "warm-up", "sdar.recipe": recipe.name}
        tags |= {"mlflow.source.name": "sdar", "mlflow.source.type": "LOCAL"}
        begun = min(found, key=lambda run: run.info.start_time, default=None)
        run = begun or client.create_run(experiment, run_name=f"warm-up-{warm.key[:8]}", tags=tags)
        _write(client, run, warm, recipe)
    except Exception as error:  # whatever the store says: the training does not depend on it
        return error
    return None


def _write(client: MlflowClient, run: Run, warm: WarmBase, recipe: Recipe) -> None:
    from mlflow.entities import Param

    from sdar_cli.recipe.dump import dump

    own, start = run.info.run_id, run.info.start_time
    settings = recipe.warmup.model_dump(mode="json")
    params = [Param(metric_name(f"warmup.{key}"), shortened(value)) for key, value in settings.items()]
    for batch in batches([param for param in params if param.key not in run.data.params], PARAMS_PER_CALL):
        client.log_batch(own, params=batch)
    client.log_text(own, dump(recipe), "recipe.yaml")
    for batch in batches(_metrics(warm, start), METRICS_PER_CALL):
        client.log_batch(own, metrics=batch)
    client.set_terminated(own, "FINISHED", end_time=start + int(1000 * warm.report["seconds"]))


def _metrics(warm: WarmBase, start: int) -> list[Metric]:
    """Each at the millisecond at which it would have been measured, had the warm-up begun at ``start``."""
    from mlflow.entities import Metric

    updates, seconds = int(warm.report["updates"]), float(warm.report["seconds"])

    def at(step: int) -> int:
        return start + int(1000 * seconds * step / max(1, updates))

    made = [
        Metric(metric_name(f"warmup/{name}"), float(value), at(int(row["step"])), int(row["step"]))
        for row in warm.report["log"]
        for name, value in row.items()
        if name != "step"
    ]
    return [*made, Metric("warmup/seconds", seconds, at(updates), updates)]
