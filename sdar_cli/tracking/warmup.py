"""A warm-up in MLflow: a run of its own beside the trainings that start from it, once a store.

Whoever finds such a run unfinished writes all of it again, as the one that began it was killed, or is at it now:
times follow from the run's own beginning, so that what is there already is the same and is not doubled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sdar_cli.tracking.experiment import experiment as find_experiment
from sdar_cli.tracking.wire import METRICS_PER_CALL, PARAMS_PER_CALL, batches, metric_name, shortened

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

TAG = "sdar.warmup"
"""The warm-up's key, on its own run and on every training that started from it."""


def write_warmup(client: MlflowClient, uri: str, content: Mapping[str, Any]) -> None:
    """Write the warm-up's curves unless the experiment has them; raises whatever the store raises.

    ``content``: ``key``, ``experiment``, ``recipe`` (its name), ``recipe_yaml``, ``settings`` (of the warm-up),
    ``updates``, ``seconds``, ``log`` (a row an update that was logged).
    """
    from mlflow.entities import Param

    key, experiment = content["key"], find_experiment(client, uri, content["experiment"])
    found = client.search_runs([experiment], f"tags.`{TAG}` = '{key}' and tags.`sdar.kind` = 'warm-up'")
    if any(run.info.status == "FINISHED" for run in found):
        return
    tags = {TAG: key, "sdar.kind": "warm-up", "sdar.recipe": content["recipe"]}
    tags |= {"mlflow.source.name": "sdar", "mlflow.source.type": "LOCAL"}
    begun = min(found, key=lambda run: run.info.start_time, default=None)
    run = begun or client.create_run(experiment, run_name=f"warm-up-{key[:8]}", tags=tags)
    own, start = run.info.run_id, run.info.start_time
    params = [Param(metric_name(f"warmup.{name}"), shortened(value)) for name, value in content["settings"].items()]
    for batch in batches([param for param in params if param.key not in run.data.params], PARAMS_PER_CALL):
        client.log_batch(own, params=batch)
    client.log_text(own, content["recipe_yaml"], "recipe.yaml")
    for batch in batches(_metrics(content, start), METRICS_PER_CALL):
        client.log_batch(own, metrics=batch)
    client.set_terminated(own, "FINISHED", end_time=start + int(1000 * content["seconds"]))


def _metrics(content: Mapping[str, Any], start: int) -> list[Metric]:
    """Each at the millisecond at which it would have been measured, had the warm-up begun at ``start``."""
    from mlflow.entities import Metric

    updates, seconds = content["updates"], content["seconds"]

    def at(step: int) -> int:
        return start + int(1000 * seconds * step / max(1, updates))

    made = [
        Metric(metric_name(f"warmup/{name}"), float(value), at(int(row["step"])), int(row["step"]))
        for row in content["log"]
        for name, value in row.items()
        if name != "step"
    ]
    return [*made, Metric("warmup/seconds", seconds, at(updates), updates)]
