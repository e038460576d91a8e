"""A panel as MLflow's dataset: the run's page names it, and runs can be filtered and grouped by it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sdar_cli.evaluation.panel import Panel

DIGEST = 36
"""Characters of a dataset's digest that MLflow keeps."""


def of_panel(panel: Panel, file: Path) -> dict[str, str]:
    """The fields of ``mlflow.entities.Dataset``."""
    return {
        "name": f"{panel.environment}, {panel.split}, {len(panel)} tasks",
        "digest": panel.digest[:DIGEST],
        "source_type": "local",
        "source": json.dumps({"uri": str(file)}),
        "profile": json.dumps({"tasks": len(panel), "split": panel.split, "sha256": panel.digest}),
    }
