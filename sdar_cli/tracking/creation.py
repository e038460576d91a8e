"""How a run comes to be in MLflow: once for a folder, whoever is cut short between its making and its noting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sdar_cli.errors import without_credentials
from sdar_cli.tracking.experiment import experiment as find_experiment
from sdar_cli.tracking.orphan import find_orphan, mark
from sdar_cli.tracking.wire import clean, metric_name, shortened

if TYPE_CHECKING:
    from mlflow import MlflowClient


def creation(experiment: str, name: str, tags: Mapping[str, str], parent: str | None) -> dict[str, Any]:
    """What a write holds that makes a run."""
    labels = {"mlflow.source.name": "sdar", "mlflow.source.type": "LOCAL", **tags, **mark(tags)}
    if parent is not None:
        labels["mlflow.parentRunId"] = parent
    shown = {key: clean(without_credentials(value)) for key, value in labels.items()}
    return {"experiment": experiment, "name": name, "tags": shown}


def beginning(tags: Mapping[str, str], params: Mapping[str, Any], recipe_yaml: str) -> list[tuple[str, str, dict]]:
    """The first writes behind it: kind, the key that each is known by, content."""
    return [
        ("running", "state", {}),
        *(("tag", f"tag/{key}", tag(key, value)) for key, value in tags.items()),
        ("params", "params", {"values": {metric_name(key): shortened(value) for key, value in params.items()}}),
        ("text", "text/recipe.yaml", {"path": "recipe.yaml", "text": without_credentials(recipe_yaml)}),
    ]


def tag(key: str, value: str) -> dict[str, str]:
    """What a write holds that sets a tag."""
    return {"key": key, "value": clean(without_credentials(value))}


def create(client: MlflowClient, uri: str, content: Mapping[str, Any]) -> str:
    """The id of a new run, or of one that was made for the same folder and never noted there.

    Raises:
        RunFailed: the experiment was deleted.
    """
    experiment = find_experiment(client, uri, content["experiment"])
    orphan = find_orphan(client, experiment, content["tags"])
    return orphan or client.create_run(experiment, run_name=content["name"], tags=content["tags"]).info.run_id
