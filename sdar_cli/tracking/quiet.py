"""MLflow, imported late and silent: no log lines, no usage reports to its makers, short network waits."""

from __future__ import annotations

import logging
import os
import random
import sys
from types import ModuleType

DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}
"""Environment variables that MLflow reads; what the user has set is left alone."""
BORROWED = (
    "urllib3.util.retry",
    "mlflow.utils.name_utils",
    "mlflow.utils.request_utils",
    "mlflow.utils.rest_utils",
    "mlflow.store.tracking.sqlalchemy_store",
)
"""Modules that draw names and pauses from Python's generator, whose state is the training's."""


def import_mlflow() -> ModuleType:
    """The ``mlflow`` package, quiet; importing it takes seconds, so only call this where it is used."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    import mlflow

    draw_apart()
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(os.environ["MLFLOW_LOGGING_LEVEL"].upper())
    return mlflow


def draw_apart() -> None:
    """Give those of the modules that are loaded a generator of their own; once more behind whatever loads others."""
    for name in BORROWED:
        module = sys.modules.get(name)
        if getattr(module, "random", None) is random:
            module.random = random.Random()  # type: ignore[union-attr]
