"""An MLflow run that was made for a training and never noted in its ``run.json``, as a kill in between leaves it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sdar_cli.reading import Unreadable, read_json
from sdar_cli.runs.state import LARGEST

if TYPE_CHECKING:
    from mlflow import MlflowClient

FOLDER = "sdar.folder"
STARTED = "sdar.started"
"""Tag: the instant at which the run's folder was made, which tells it from an earlier folder of the same name."""


def mark(tags: Mapping[str, str]) -> dict[str, str]:
    """The tag by which a training's MLflow run is found again; none for what has no run folder."""
    try:
        state = read_json(Path(tags[FOLDER]) / "run.json", LARGEST)
        return {STARTED: repr(float(state["started"]))}
    except (Unreadable, KeyError, TypeError, ValueError):
        return {}


def find_orphan(client: MlflowClient, experiment: str, tags: Mapping[str, str]) -> str | None:
    """The id of the run that was made for this folder before, or None."""
    if STARTED not in tags:
        return None
    found = client.search_runs([experiment], f"tags.`{STARTED}` = '{tags[STARTED]}'", max_results=100)
    return next((run.info.run_id for run in found if run.data.tags.get(FOLDER) == tags[FOLDER]), None)
