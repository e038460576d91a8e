"""The runs that a user means: by reference, of a study, or of a group. A store of thousands is read once at most."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sdar_cli.compare.entry import Entry
from sdar_cli.compare.options import Axis, Study
from sdar_cli.errors import RunError, StudyError
from sdar_cli.paths import is_folder
from sdar_cli.recipe.explain import nearest
from sdar_cli.runs.resolve import LATEST, ModelFolder, resolve_run
from sdar_cli.runs.state import RunState
from sdar_cli.runs.store import RunFolder, list_states
from sdar_cli.sweep.study_folder import FILE, find_study, not_found, read_study


def by_reference(references: Sequence[str], root: Path) -> list[Entry]:
    """Names, folders, MLflow ids, beginnings of either, ``latest``; a run named twice counts once.

    Raises:
        RunError: something names no run, several, or a model.
    """
    found: dict[Path, Entry] = {}
    store = _Store(root)
    for reference in references:
        entry = store.find(reference)
        found.setdefault(entry.folder.path.resolve(), entry)
    return _told_apart(list(found.values()))


def of_study(reference: str, root: Path) -> tuple[Study, list[Entry]]:
    """A study by its name or folder, and its runs so far, by cell and seed.

    Raises:
        StudyError: there is no such study, its file is damaged, or none of its runs was started.
    """
    folder = find_study(reference, root)
    if not (folder / FILE).is_file():
        raise StudyError(not_found(reference, root))
    study, runs = _read(folder / FILE)
    folders = folder.parent.parent
    places = {}
    for file in folders.glob(f"{_glob(study.name)}-c*-s*/run.json"):
        if match := re.fullmatch(rf"{re.escape(study.name)}-c(\d+)-s(\d+)", file.parent.name):
            places[int(match[1]), int(match[2])] = RunFolder(file.parent)
    if not places:
        raise StudyError(f"the study {study.name} has no run in {folders} yet: see `sdar sweep status {study.name}`")
    entries = [Entry(places[key], places[key].state) for key in sorted(places)]
    return replace(study, missing=max(0, runs - len(entries))), entries


def of_group(group: str, root: Path) -> list[Entry]:
    """The runs whose ``tracking.group`` is this, the oldest first.

    Raises:
        RunError: there is none; the sentence names the nearest group.
    """
    groups: dict[str, list[Entry]] = {}
    for run, state in list_states(root):
        if (name := _group(state)) is not None:
            groups.setdefault(name, []).append(Entry(run, state))
    if group in groups:
        return groups[group]
    meant = nearest(group, groups)
    hint = f"did you mean {meant!r}?" if meant else "give runs one with tracking.group=NAME"
    raise RunError(f"no run in {root} is of the group {group!r}: {hint}")


def _told_apart(entries: Sequence[Entry]) -> list[Entry]:
    """Runs of one name are shown with as much of their paths as it takes."""
    shown = [entry.folder.name for entry in entries]
    paths = [entry.folder.path.resolve() for entry in entries]
    for length in range(2, max((len(path.parts) for path in paths), default=0) + 1):
        shown = [
            "/".join(path.parts[-length:]) if shown.count(name) > 1 else name
            for name, path in zip(shown, paths, strict=True)
        ]
    return [replace(entry, shown=name) for entry, name in zip(entries, shown, strict=True)]


def _read(file: Path) -> tuple[Study, int]:
    """A study's axes, and how many runs it asks for. Raises StudyError where the file is damaged."""
    spec = read_study(file)["spec"]
    try:
        axes = tuple(_axis(axis) for axis in spec["axes"])
        name, cells, seeds = spec["name"], spec["cells"], spec["seeds"]
        if not isinstance(name, str) or type(cells) is not int or not isinstance(seeds, list):
            raise TypeError
        return Study(name, axes), cells * len(seeds)
    except (LookupError, TypeError, AttributeError):
        raise StudyError(f"{file} is damaged or unreadable: restore it, or compare the runs by their names") from None


def _axis(axis: dict[str, Any]) -> Axis:
    """Raises TypeError where it is none."""
    choices = axis.get("choices")
    if not isinstance(axis["key"], str) or not isinstance(choices, list | None):
        raise TypeError
    return Axis(axis["key"], tuple(choices or ()), None if choices else bool(axis.get("log")))


class _Store:
    """The runs folder, listed when something cannot be found without."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._runs: list[tuple[RunFolder, RunState]] | None = None

    def find(self, reference: str) -> Entry:
        if not _plain(reference) or is_folder(reference):
            return self._resolved(reference)
        if reference != LATEST and (self._root / reference / "run.json").is_file():
            run = RunFolder(self._root.absolute() / reference)
            return Entry(run, run.state)
        found = self._listed(reference)
        return Entry(*found[0]) if len(found) == 1 else self._resolved(reference)

    def _listed(self, reference: str) -> list[tuple[RunFolder, RunState]]:
        """The runs that an id, a beginning or ``latest`` may mean."""
        if self._runs is None:
            self._runs = list_states(self._root)
        if reference == LATEST:
            return self._runs[-1:]
        ids = [pair for pair in self._runs if pair[1].mlflow_run_id == reference]
        names = [pair for pair in self._runs if pair[0].name.startswith(reference)]
        if ids or names or len(reference) < 6:
            return ids or names
        return [pair for pair in self._runs if (pair[1].mlflow_run_id or "").startswith(reference)]

    def _resolved(self, reference: str) -> Entry:
        target = resolve_run(reference, self._root)
        if isinstance(target, ModelFolder):
            raise RunError(
                f"{reference} is a model, not a run: name a run from `sdar runs ls`, or measure it with `sdar eval`"
            )
        return Entry(target, target.state)


def _plain(reference: str) -> bool:
    return bool(reference) and "/" not in reference and "\0" not in reference and reference not in (".", "..")


def _group(state: RunState) -> str | None:
    tracking = state.settings.get("tracking")
    group = tracking.get("group") if isinstance(tracking, dict) else None
    return group if isinstance(group, str) else None


def _glob(name: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", name)
