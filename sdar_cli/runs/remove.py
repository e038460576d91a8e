"""Removing runs, their weights, or a study with all its runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdar_cli.errors import RunError, StudyError
from sdar_cli.runs.listing import Listed, list_all, listed
from sdar_cli.runs.lock import RunLock
from sdar_cli.runs.trash import empty, set_aside, size_of
from sdar_cli.runs.whole import TORN
from sdar_cli.sweep.heartbeat import LEASE
from sdar_cli.sweep.study_folder import FILE, STUDIES, find_study, not_found, read_study

WEIGHTS = ("base", "checkpoints", "failure")
"""Folders of a run that hold weights."""


@dataclass(frozen=True, slots=True)
class Removal:
    """What is to go, all of it or nothing."""

    root: Path
    runs: tuple[Listed, ...]
    folders: tuple[Path, ...]
    study: str | None = None
    """The study that goes with its runs."""
    study_run: tuple[str, str] | None = None
    """Store and id of the MLflow run that stands for the study."""
    weights_only: bool = False

    @property
    def bytes(self) -> int:
        return sum(map(size_of, self.folders))

    @property
    def tracked(self) -> list[tuple[str, str]]:
        """Store and id of the MLflow runs that go too."""
        if self.weights_only:
            return []
        from sdar_cli.tracking.leftover import made

        own = [(run.tracking_uri, run.mlflow_run_id or made(run.folder)) for run in self.runs]
        found = [(uri, run_id) for uri, run_id in own if uri is not None and run_id is not None]
        return found + ([self.study_run] if self.study_run is not None else [])


def plan_runs(runs: Sequence[Path], root: Path, *, weights_only: bool = False) -> Removal:
    """
    Raises:
        RunError: a folder is no run, or belongs to a study that is still there.
    """
    chosen = []
    for folder in dict.fromkeys(path.absolute() for path in runs):
        run = listed(folder)
        if run is None:
            raise RunError(f"{folder} is no run, or its run.json is damaged: remove the folder by hand")
        if run.study is not None and not weights_only and (folder.parent / STUDIES / run.study).is_dir():
            raise RunError(
                f"the run {run.name} belongs to the study {run.study}: remove the study with `sdar runs rm --study "
                f"{run.study}`, or only the run's weights with --weights-only"
            )
        chosen.append(run)
    folders = [run.folder for run in chosen]
    if weights_only:
        folders = [path for run in chosen for path in _weights(run.folder)]
    return Removal(root.absolute(), tuple(chosen), tuple(folders), weights_only=weights_only)


def _weights(run: Path) -> list[Path]:
    """Also those that were found damaged and set aside."""
    return [path for path in (*(run / name for name in WEIGHTS), *sorted(run.glob(f"{TORN}*"))) if path.is_dir()]


def plan_study(reference: str, root: Path, *, weights_only: bool = False) -> Removal:
    """
    Raises:
        StudyError: there is no such study, or workers are at work on it.
    """
    folder = find_study(reference, root)
    if not folder.is_dir():
        raise StudyError(not_found(reference, root))
    if _at_work(folder):
        raise StudyError(
            f"workers are at work on the study {folder.name}: end them with `sdar sweep pause --now` first"
        )
    spec = read_study(folder / FILE)["spec"]
    name = _text(spec, "name") or folder.name
    runs = tuple(run for run in list_all(root) if run.study == name)
    if weights_only:
        return plan_runs([run.folder for run in runs], root, weights_only=True)
    uri, parent = _text(spec, "tracking_uri"), _text(spec, "mlflow_parent")
    folders = (*(run.folder for run in runs), folder)
    return Removal(root.absolute(), runs, folders, name, (uri, parent) if uri and parent else None)


def _text(spec: Mapping[str, Any], key: str) -> str | None:
    value = spec.get(key)
    return value if isinstance(value, str) else None


def _at_work(folder: Path) -> bool:
    """Whether a worker gave a sign of life of late; one whose run is at work holds that run's lock besides."""
    ages = [time.time() - beat.lstat().st_mtime for beat in (folder / "beats").glob("*")]
    return min(ages, default=LEASE) < LEASE


def carry_out(removal: Removal, tick: Callable[[], None] = lambda: None) -> int:
    """Remove; returns the bytes that were freed.

    Every run is locked first, so that none is removed under a training, and none starts meanwhile.

    Raises:
        RunError: a run is at work; nothing was removed.
    """
    freed = removal.bytes
    with ExitStack() as locks:
        for run in removal.runs:
            locks.enter_context(RunLock(run.folder))
        for folder in removal.folders:
            set_aside(folder, removal.root)
            tick()
    empty(removal.root)
    return freed


def forget(tracked: Sequence[tuple[str, str]]) -> list[str]:
    """Mark MLflow runs deleted, as the UI's own Delete does; returns a sentence for each store that failed."""
    from sdar_cli.tracking.location import is_missing, redact, usable
    from sdar_cli.tracking.quiet import import_mlflow
    from sdar_cli.tracking.wire import is_gone, one_line

    problems: dict[str, str] = {}
    for uri, run_id in tracked:
        if uri in problems or is_missing(uri):
            continue
        try:
            import_mlflow().MlflowClient(tracking_uri=usable(uri)).delete_run(run_id)
        except Exception as error:
            if not is_gone(error):
                problems[uri] = f"the MLflow store {redact(uri)} still shows what was removed ({one_line(error)})"
    return list(problems.values())
