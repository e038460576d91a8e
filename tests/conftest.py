"""Every test runs offline, on one thread, with caches and runs in folders of the session."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import mlflow_template
import pytest
from hypothesis import settings

# A busy machine is slow, not wrong: no example fails for the time it took.
settings.register_profile("sdar", deadline=None)
settings.load_profile("sdar")

_WORKER = os.environ.get("PYTEST_XDIST_WORKER")
"""pytest-xdist's workers share the caches of the process that started them, not its runs."""

if _WORKER is None:
    os.environ["SDAR_TEST_SESSION"] = tempfile.mkdtemp(prefix="sdar-tests-")
# A shell starts background jobs with Ctrl-C ignored, and tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)

_SESSION = Path(os.environ["SDAR_TEST_SESSION"])

# Set before anything imports torch, transformers or MLflow; subprocesses inherit them.
os.environ.update(
    SDAR_CACHE=str(_SESSION / "cache"),
    SDAR_RUNS=str(_SESSION / "runs" / (_WORKER or "main")),
    HF_HOME=str(_SESSION / "huggingface"),
    HF_HUB_OFFLINE="1",
    CUDA_VISIBLE_DEVICES="",  # estimates count the GPUs that are here
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
for _name in (
    "MLFLOW_TRACKING_URI",
    "MLFLOW_RUN_ID",
    "MLFLOW_EXPERIMENT_NAME",
    "ALFWORLD_DATA",
    "SDAR_WEBSHOP",
    "SDAR_SEARCH_QA",
    "FORCE_COLOR",
):
    os.environ.pop(_name, None)
mlflow_template.install(_SESSION / "mlflow-template.db")


def pytest_sessionfinish() -> None:
    if _WORKER is None:
        shutil.rmtree(_SESSION, ignore_errors=True)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Python's generator starts alike in every test; numpy's and torch's too where they are loaded."""
    random.seed(0)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the source tree."""
    return Path(__file__).resolve().parents[1]
