"""Opening a store and finding, or making, an experiment in it."""

from __future__ import annotations

import fcntl
import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sdar_cli.errors import RunFailed
from sdar_cli.tracking.location import ARTIFACTS, sqlite_file
from sdar_cli.tracking.views import RUNS, install

if TYPE_CHECKING:
    from mlflow import MlflowClient


LAYOUT = 120.0
"""Seconds, at most, that one process waits for others that open a SQLite store, or lay it out."""
PAUSE = 0.05


@contextmanager
def opening(uri: str, patience: float | None = None) -> Iterator[None]:
    """Two processes that begin at once would both lay out a new SQLite store: one waits for the other.

    Args:
        patience: seconds, ``LAYOUT`` where nothing is said.

    Raises:
        TimeoutError: another process has it all the while.
    """
    file = sqlite_file(uri)
    if file is None:
        yield
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f".{file.name}.lock")
    lock = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o644)
    try:
        _take(lock, beside, LAYOUT if patience is None else patience)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="alembic")
            yield
    finally:
        os.close(lock)


def _take(lock: int, file: Path, patience: float) -> None:
    until = time.monotonic() + patience
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                raise TimeoutError(f"another process has held {file} for {patience:g} s") from None
        time.sleep(PAUSE)


def experiment(client: MlflowClient, uri: str, name: str) -> str:
    """The experiment's id, made when it is new; a SQLite store keeps its artifacts beside itself.

    The experiment gets the view of its runs that ``sdar ui`` opens, once.

    Raises:
        RunFailed: it was deleted.
    """
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        file = sqlite_file(uri)
        location = None if file is None else (file.parent.absolute() / ARTIFACTS).as_uri()
        try:
            made = client.create_experiment(name, artifact_location=location)
        except MlflowException:
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
        else:
            install(client, made, {}, RUNS)
            return made
    if found.lifecycle_stage == "deleted":
        raise RunFailed(
            f"the MLflow experiment {name!r} was deleted: restore it with mlflow experiments restore "
            f"-x {found.experiment_id}, or set tracking.experiment to another name"
        )
    install(client, found.experiment_id, found.tags, RUNS)
    return found.experiment_id
