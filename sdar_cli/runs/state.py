"""``run.json``: where a run stands, and what it ran with."""

from __future__ import annotations

import platform
import shutil
import subprocess
import time
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from sdar_cli.training.guards import Finding

PACKAGES = (
    "sdar",
    "torch",
    "trl",
    "transformers",
    "peft",
    "bitsandbytes",
    "accelerate",
    "deepspeed",
    "mlflow",
    "vllm",
    "alfworld",
    "textworld",
)


LARGEST = 16 << 20
"""Bytes of a ``run.json``."""
LAST_MOMENT = 253_402_214_400.0
"""The end of the year 9999, in seconds since the epoch: what calendars have."""

Count = Annotated[int, Field(strict=True, ge=0)]
Moment = Annotated[float, Field(strict=True, ge=0, le=LAST_MOMENT)]


class RunStatus(StrEnum):
    CREATED = "created"
    WARMING_UP = "warming-up"
    TRAINING = "training"
    EVALUATING = "evaluating"
    FINISHED = "finished"
    COLLAPSED = "collapsed"
    """Ended, evaluated and reported, by ``guards.stop_on_collapse``."""
    INTERRUPTED = "interrupted"
    FAILED = "failed"

    @property
    def is_over(self) -> bool:
        return self in (RunStatus.FINISHED, RunStatus.COLLAPSED, RunStatus.INTERRUPTED, RunStatus.FAILED)


class RunState(BaseModel):
    """The content of ``run.json``. Times are seconds since the epoch; ``step`` counts finished rollouts."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    format: Annotated[int, Field(strict=True)] = 1
    name: str
    recipe: str
    """The recipe's name."""
    recipe_digest: str
    settings: dict[str, Any] = {}
    """The whole recipe as plain data; empty in runs of before it was kept here, whose ``recipe.yaml`` has it."""
    origins: dict[str, str] = {}
    """Where each value of the recipe came from."""
    status: RunStatus = RunStatus.CREATED
    step: Count = 0
    steps: Count
    """Rollouts that the recipe asks for."""
    started: Moment
    ended: Moment | None = None
    mlflow_run_id: str | None = None
    tracking_uri: str | None = None
    """The store, which ``sdar ui`` opens; may name a user but is shown redacted."""
    experiment: str | None = None
    warmup: str | None = None
    """Key of the warm-up that its base comes from."""
    error: str | None = None
    """The sentence a failed run ended with."""
    warnings: list[Finding] = []
    """What the guards found up to now."""
    versions: dict[str, str] = {}
    git_commit: str | None = None


def package_versions() -> dict[str, str]:
    """Versions of Python and of the installed packages that results depend on."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def git_commit(folder: Path | None = None) -> str | None:
    """The commit of the source tree, ``+`` appended when it has changes; None outside a repository."""
    folder = folder or Path(__file__).resolve().parents[2]
    if shutil.which("git") is None or not (folder / ".git").exists():
        return None
    try:
        head = _git(folder, "rev-parse", "HEAD")
        changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return head + ("+" if changes else "")


def now() -> float:
    return time.time()


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
