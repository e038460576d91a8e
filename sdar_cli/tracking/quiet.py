"""MLflow, imported late and silent: no log lines, no usage reports to its makers, short network waits."""

from __future__ import annotations

import logging
import os
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


def import_mlflow() -> ModuleType:
    """The ``mlflow`` package, quiet; importing it takes seconds, so only call this where it is used."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    import mlflow

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(os.environ["MLFLOW_LOGGING_LEVEL"].upper())
    return mlflow
