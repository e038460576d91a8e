"""What MLflow draws (pauses between tries, names) is not drawn from the generator whose state is the training's."""

from __future__ import annotations

import random
import socket
import sys
from pathlib import Path

import pytest

from sdar_cli.tracking.delivery import Delivery
from sdar_cli.tracking.quiet import BORROWED, import_mlflow

pytestmark = [
    pytest.mark.filterwarnings("ignore:The ``noload``:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
]


def test_a_store_that_is_away_moves_no_random_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """With pauses that a user drew at random on purpose."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0.01")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "4")
    mlflow = import_mlflow()
    with socket.socket() as taken:  # bound and not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        client = mlflow.MlflowClient(f"http://127.0.0.1:{taken.getsockname()[1]}")
        before = random.getstate()
        with pytest.raises(mlflow.exceptions.MlflowException):
            client.get_run("0" * 32)
    assert random.getstate() == before


def test_none_of_the_modules_that_are_loaded_draws_from_it(tmp_path: Path) -> None:
    Delivery(f"sqlite:///{tmp_path / 'mlflow.db'}", "").make()
    loaded = [name for name in BORROWED if name in sys.modules]
    assert "mlflow.store.tracking.sqlalchemy_store" in loaded and "urllib3.util.retry" in loaded
    assert not [name for name in loaded if getattr(sys.modules[name], "random", None) is random]
