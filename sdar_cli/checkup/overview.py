"""What ``sdar doctor`` looks at without a recipe."""

from __future__ import annotations

from pathlib import Path

from sdar_cli.checkup.data import alfworld_games, search_qa_questions, webshop_store
from sdar_cli.checkup.devices import devices
from sdar_cli.checkup.engines import engines
from sdar_cli.checkup.finding import Finding
from sdar_cli.checkup.machine import limits, room, tools
from sdar_cli.checkup.packages import packages, python
from sdar_cli.checkup.services import hub, mlflow_store


def examine(runs_root: Path) -> list[Finding]:
    """All findings about this machine, in the order of the table."""
    data = (*alfworld_games(), *webshop_store(), *search_qa_questions())
    services = (mlflow_store(None, runs_root), hub())
    return [
        *python(),
        *packages(),
        *devices(),
        *engines(),
        *tools(),
        *data,
        *limits(),
        *room(runs_root),
        *services,
    ]
