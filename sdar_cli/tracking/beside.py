"""A whole run beside the one that is tracked, such as the warm-up's: made once a store, by whichever training is first.

It is one write, and as such sent until it is there: a kill or a store that goes away in the middle leaves a run that
is not finished, which the next training goes on with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sdar_cli.tracking.wire import METRICS_PER_CALL, PARAMS_PER_CALL, batches, metric_name, shortened

if TYPE_CHECKING:
    from mlflow import MlflowClient

BEGAN = "sdar.began"
"""Tag: the time that the run's metrics carry, alike in every attempt."""


def content(
    name: str,
    mark: Mapping[str, str],
    tags: Mapping[str, str],
    params: Mapping[str, Any],
    rows: Sequence[tuple[int, Mapping[str, float]]],
    recipe_yaml: str,
) -> dict[str, Any]:
    """``mark``: the tags by which it is known to be there; ``rows``: step and metrics."""
    return {
        "name": name,
        "mark": dict(mark),
        "tags": dict(tags),
        "params": {key: shortened(value) for key, value in params.items()},
        "rows": [[step, {metric_name(key): float(value) for key, value in row.items()}] for step, row in rows],
        "recipe_yaml": recipe_yaml,
    }


def send(client: MlflowClient, experiment: str, about: Mapping[str, Any], at: int) -> None:
    """Write the run, unless the experiment has it whole; raises whatever MLflow raises."""
    from mlflow.entities import Metric, Param

    wanted = " and ".join(f"tags.`{key}` = '{value}'" for key, value in about["mark"].items())
    found = client.search_runs([experiment], wanted, max_results=100)
    if any(run.info.status == "FINISHED" for run in found):
        return
    if found:
        run_id, known = found[-1].info.run_id, found[-1].data.params
        at = int(found[-1].data.tags.get(BEGAN, at))
    else:
        labels = {"mlflow.source.name": "sdar", "mlflow.source.type": "LOCAL", BEGAN: str(at)}
        made = client.create_run(experiment, run_name=about["name"], tags=labels | about["tags"] | about["mark"])
        run_id, known = made.info.run_id, {}
    client.log_text(run_id, about["recipe_yaml"], "recipe.yaml")
    params = [Param(key, value) for key, value in about["params"].items() if key not in known]
    for batch in batches(params, PARAMS_PER_CALL):
        client.log_batch(run_id, params=batch)
    metrics = [Metric(name, value, at, step) for step, row in about["rows"] for name, value in row.items()]
    for batch in batches(metrics, METRICS_PER_CALL):
        client.log_batch(run_id, metrics=batch)
    client.set_terminated(run_id, "FINISHED", at)
