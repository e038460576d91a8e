"""What a user means by RUN: a folder, a name, an MLflow run id, ``latest``, or a Hugging Face model."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from sdar_cli.errors import RunError
from sdar_cli.paths import is_folder, user_path
from sdar_cli.recipe.explain import nearest
from sdar_cli.runs.store import RunFolder, list_runs

LATEST = "latest"


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A bare model: a local folder with ``config.json`` or an adapter, or the id of one on the hub."""

    reference: str
    path: Path | None
    """None for a hub id."""

    @property
    def name(self) -> str:
        return self.path.name if self.path is not None else self.reference


def resolve_run(reference: str | None, root: Path) -> RunFolder | ModelFolder:
    """Find a run or a model.

    Args:
        reference: a run's folder, its name or the beginning of it, its MLflow run id, ``latest`` or None for
            the newest, a model folder, or a hub id such as ``Qwen/Qwen3-1.7B``.
        root: the runs folder.

    Raises:
        RunError: nothing fits, or more than one run does; the sentence names the nearest.
    """
    if reference is None or reference == LATEST:
        return latest_run(root)
    if not reference or "\0" in reference:
        raise RunError(f"{reference!r} names no run: give a name from `sdar runs ls`, a folder or 'latest'")
    path = user_path(reference)
    if is_folder(path):
        if (path / "run.json").is_file():
            return RunFolder.open(path)
        if (path / "config.json").is_file() or (path / "adapter_config.json").is_file():
            return ModelFolder(reference, path.absolute())
    if "/" not in reference and os.path.lexists(root / reference / "run.json"):
        return RunFolder.open(root / reference)
    runs = list_runs(root)
    if (run := _by_name(reference, runs)) is not None:
        return run
    if is_folder(path):
        raise RunError(
            f"{reference} is neither a run (no run.json) nor a model (no config.json): name one from `sdar runs ls`"
        )
    if _is_hub_id(reference):
        return ModelFolder(reference, None)
    raise RunError(_not_found(reference, runs, root))


def latest_run(root: Path) -> RunFolder:
    """The newest run by its start.

    Raises:
        RunError: there is none.
    """
    runs = list_runs(root)
    if not runs:
        raise RunError(f"there is no run in {root}: start one with `sdar train`, or name the folder with --runs")
    return runs[-1]


def _by_name(reference: str, runs: list[RunFolder]) -> RunFolder | None:
    for run in runs:
        if reference in (run.name, run.state.mlflow_run_id):
            return run
    begins = [run for run in runs if run.name.startswith(reference)]
    if not begins and len(reference) >= 6:
        begins = [run for run in runs if (run.state.mlflow_run_id or "").startswith(reference)]
    if len(begins) > 1:
        names = ", ".join(run.name for run in begins[-3:])
        raise RunError(f"{len(begins)} runs begin with {reference!r}: give more of the name ({names})")
    return begins[0] if begins else None


def _is_hub_id(reference: str) -> bool:
    owner, slash, _ = reference.partition("/")
    return bool(re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", reference)) and bool(slash) and not is_folder(owner)


def _not_found(reference: str, runs: list[RunFolder], root: Path) -> str:
    meant = nearest(Path(reference).name, [run.name for run in runs], cutoff=0.4)
    if meant is not None:
        return f"there is no run or model {reference!r} (looked in {root}): did you mean {meant!r}?"
    if runs:
        return f"there is no run or model {reference!r} (looked in {root}): the newest run is {runs[-1].name!r}"
    return f"there is no run or model {reference!r}, and no run in {root}: name the folder with --runs"
