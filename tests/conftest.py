"""Every test runs offline, on one thread, with caches and runs in folders of its own session."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_SESSION = Path(tempfile.mkdtemp(prefix="sdar-tests-"))

# Set before anything imports torch, transformers or MLflow; subprocesses inherit them.
os.environ.update(
    SDAR_CACHE=str(_SESSION / "cache"),
    SDAR_RUNS=str(_SESSION / "runs"),
    HF_HOME=str(_SESSION / "huggingface"),
    HF_HUB_OFFLINE="1",
    HF_HUB_DISABLE_PROGRESS_BARS="1",
    TRANSFORMERS_VERBOSITY="error",
    MPLCONFIGDIR=str(_SESSION / "matplotlib"),
    MPLBACKEND="agg",
    TOKENIZERS_PARALLELISM="false",
    OMP_NUM_THREADS="1",
    MKL_NUM_THREADS="1",
    NO_COLOR="1",
    COLUMNS="100",
)
for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_NAME", "ALFWORLD_DATA"):
    os.environ.pop(name, None)


def pytest_sessionfinish() -> None:
    import shutil

    shutil.rmtree(_SESSION, ignore_errors=True)


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    """Python's generator starts alike in every test; torch's and numpy's too where they are loaded."""
    import sys

    random.seed(0)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)
        sys.modules["torch"].set_num_threads(1)
    yield


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the source tree."""
    return Path(__file__).resolve().parents[1]
