"""A study on disk, or in a database: made, found, looked at, paused.

RUNS/studies/NAME/
    study.json      the specification, when it was made, and the database where there is one
    journal.log     Optuna's journal, unless there is a database
    beats/          signs of life, one file an attempt
    recipes/        what each run trains
    logs/           the output of each attempt
    figures/        pictures for MLflow

Two Optuna studies hold what happens: NAME has a trial a cell, NAME.runs a trial an attempt.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from sdar_cli.errors import StudyError
from sdar_cli.reading import Unreadable, parse_json
from sdar_cli.runs.state import LAST_MOMENT
from sdar_cli.sweep.cell_trials import CellTrials
from sdar_cli.sweep.claims import Entry, Ledger, by_run, standing
from sdar_cli.sweep.heartbeat import LEASE, FileBeats, Observer, StoredBeats
from sdar_cli.sweep.storage import JOURNAL, check_journal, open_storage, shown
from sdar_cli.sweep.stored import damage
from sdar_cli.sweep.study_folder import (
    FILE,
    STUDIES,
    find_study,
    list_studies,
    not_found,
    read_spec,
    read_study,
    write_study,
)
from sdar_cli.sweep.view import CellState, CellView, RunView, StudyView

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

    from sdar_cli.sweep.spec import StudySpec

__all__ = ["StudyStore", "list_studies"]

Pause = Literal["no", "after", "now"]
"""Whether workers are to leave: not, when their runs are done, or at once (their runs are saved)."""


class StudyStore:
    """Made by ``create`` and ``open``; one a process, for one thread (heartbeats excepted)."""

    def __init__(self, folder: Path, root: Path, spec: StudySpec, created: float, storage: BaseStorage, lease: float):
        self.folder = folder
        self.root = root
        self.spec = spec
        self.created = created
        self._storage = storage
        self._cells_id = storage.get_study_id_from_name(spec.name)
        self._runs_id = storage.get_study_id_from_name(f"{spec.name}.runs")
        self.ledger = Ledger(storage, self._runs_id)
        self.cells = CellTrials(storage, self._cells_id, spec)
        self.beats = FileBeats(folder / "beats") if _is_journal(storage) else StoredBeats(self.ledger)
        self.observer = Observer(self.beats, lease)

    @classmethod
    def create(cls, spec: StudySpec, root: Path, storage: str | None = None, *, lease: float = LEASE) -> Self:
        """Make a study: whole, or not at all.

        Args:
            spec: what to run.
            root: the runs folder.
            storage: URL of a database that machines share; None: a journal in the study's folder.
            lease: seconds without a sign of life after which a worker counts as lost.

        Raises:
            StudyError: there is such a study, or the folder or the database cannot be used.
        """
        folder = root.absolute() / STUDIES / spec.name
        if folder.exists():
            raise StudyError(f"there is a study {spec.name!r} in {root} already: {_go_on(spec.name)}")
        created = time.time()
        beside = folder.with_name(f".{spec.name}-{os.getpid()}")
        shutil.rmtree(beside, ignore_errors=True)  # a killed process of this pid may have left it
        try:
            write_study(beside, spec.model_dump(mode="json"), created, storage)
            opened = open_storage(beside, storage)
            _make_studies(opened, spec, created, storage)
            os.rename(beside, folder)
        except OSError as error:
            if folder.exists():
                raise StudyError(f"there is a study {spec.name!r} in {root} already: {_go_on(spec.name)}") from None
            raise StudyError(
                f"the study's folder {folder} cannot be written ({error.strerror}): give another with --runs"
            ) from None
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        return cls.open(str(folder), root, storage, lease=lease)

    @classmethod
    def open(cls, name_or_folder: str | Path, root: Path, storage: str | None = None, *, lease: float = LEASE) -> Self:
        """Find a study.

        Args:
            name_or_folder: its name, or its folder; with ``storage`` the folder is made where it is missing, as on
                a second machine.
            root: the runs folder.
            storage: URL of its database; None: what the study's folder says.
            lease: seconds without a sign of life after which a worker counts as lost.

        Raises:
            StudyError: there is none, it is damaged, or its database cannot be used.
        """
        folder = find_study(str(name_or_folder), root)
        if not (folder / FILE).is_file():
            if storage is None:
                raise StudyError(not_found(str(name_or_folder), root))
            _fetch(folder, storage)
        content = read_study(folder / FILE)
        url = storage or _url(content, folder.name)
        spec = read_spec(content["spec"], folder / FILE)
        if url is None:
            check_journal(folder)
        opened = open_storage(folder, url)
        where = shown(url) if url else folder / JOURNAL
        try:
            store = cls(folder, folder.parent.parent, spec, float(content["created"]), opened, lease)
        except KeyError:
            raise StudyError(f"{where} does not hold the study {spec.name!r}: restore it, or remove {folder}") from None
        if (what := damage(opened, store._cells_id, store._runs_id)) is not None:
            raise StudyError(f"{where} is damaged ({what}): restore it from a copy, or remove the study")
        return store

    @property
    def name(self) -> str:
        return self.spec.name

    def run_folder(self, cell: int, seed: int) -> Path:
        return self.root / self.spec.run_name(cell, seed)

    @property
    def pause_asked(self) -> Pause:
        return self._storage.get_study_user_attrs(self._cells_id).get("pause", "no")

    def pause(self, now: bool = False) -> None:
        """Ask all workers to leave: after their runs, or now, their runs being saved first."""
        self._order(self._cells_id, "pause", "now" if now else "after")

    def unpause(self) -> None:
        if self.pause_asked != "no":
            self._order(self._cells_id, "pause", "no")

    @property
    def forgiven(self) -> frozenset[int]:
        """Failed attempts that no longer count."""
        return frozenset(self._storage.get_study_user_attrs(self._runs_id).get("forgiven", ()))

    def forgive(self) -> int:
        """Let failed runs run again, from their checkpoints where they have one; returns how many."""
        failed = {run.attempts[-1].number for run in self.view().runs if run.state == "failed"}
        if failed:
            self._order(self._runs_id, "forgiven", sorted(self.forgiven | failed))
        return len(failed)

    def _order(self, study: int, key: str, value: Any) -> None:
        try:
            self._storage.set_study_user_attr(study, key, value)
        except OSError as error:
            raise StudyError(f"{self.folder} cannot be written ({error.strerror}): make it writable") from None

    def view(self) -> StudyView:
        """The study now. A worker elsewhere is seen to be lost after this object has watched it for a lease."""
        return self.look()[0]

    def look(self) -> tuple[StudyView, dict[tuple[int, int], list[Entry]]]:
        """The view, and by (cell, seed) the attempts as they are stored."""
        entries = by_run(self.ledger.entries())
        trials = self.cells.all()
        known = dict(enumerate(self.spec.grid())) | {i: trial.user_attrs["params"] for i, trial in trials.items()}
        forgiven = self.forgiven
        cells = tuple(
            self._cell(index, params, trials.get(index), entries, forgiven) for index, params in sorted(known.items())
        )
        paused = self.pause_asked != "no"
        return StudyView(self.spec, cells, paused, self.created, self.folder, self.root), entries

    def _cell(
        self,
        index: int,
        params: Mapping[str, Any],
        trial: FrozenTrial | None,
        entries: Mapping[tuple[int, int], list[Entry]],
        forgiven: frozenset[int],
    ) -> CellView:
        pruned = trial is not None and trial.state.name == "PRUNED"
        runs = tuple(
            self._run(index, seed, entries.get((index, seed), ()), pruned, forgiven) for seed in self.spec.seeds
        )
        values = [float(run.result[self.spec.metric]) for run in runs if run.state == "done"]
        return CellView(
            index=index,
            params=params,
            label=self.spec.label(params),
            state="pruned" if pruned else _cell_state(runs, trial is not None),
            runs=runs,
            mean=sum(values) / len(values) if values else None,
            intermediate={} if trial is None else dict(sorted(trial.intermediate_values.items())),
        )

    def _run(self, cell: int, seed: int, entries: Sequence[Entry], pruned: bool, forgiven: frozenset[int]) -> RunView:
        state = standing(entries, forgiven)
        if state == "running":
            holder = next(entry for entry in entries if entry.is_live)
            state = "lost" if self.observer.is_lost(holder) else "running"
        if pruned and state not in ("done", "running"):
            state = "pruned"
        attempts = tuple(entry.attempt for entry in entries)
        result: Mapping[str, Any] = {}
        if state == "done":
            result = next(attempt.result for attempt in attempts if attempt.state == "done")
        return RunView(cell, seed, self.spec.run_name(cell, seed), state, attempts, result)


def _cell_state(runs: Sequence[RunView], drawn: bool) -> CellState:
    states = {run.state for run in runs}
    if states == {"done"}:
        return "done"
    if states <= {"done", "failed"}:
        return "failed" if "done" not in states else "partial"
    return "running" if drawn and states != {"waiting"} else "waiting"


def _make_studies(opened: BaseStorage, spec: StudySpec, created: float, url: str | None) -> None:
    from optuna.exceptions import DuplicatedStudyError
    from optuna.study import StudyDirection

    try:
        cells = opened.create_new_study([StudyDirection.MAXIMIZE], spec.name)
        opened.create_new_study([StudyDirection.MAXIMIZE], f"{spec.name}.runs")
    except DuplicatedStudyError:
        where = "its journal" if url is None else shown(url)
        raise StudyError(
            f"there is a study {spec.name!r} in {where} already: choose another --name, or work on it with "
            f"`sdar sweep worker {spec.name} --storage ...`"
        ) from None
    opened.set_study_user_attr(cells, "created", created)
    opened.set_study_user_attr(cells, "spec", spec.model_dump_json())


def _fetch(folder: Path, url: str) -> None:
    """Make the folder of a study that another machine made, from its database.

    Raises:
        StudyError: the database has no such study.
    """
    opened = open_storage(folder, url)
    try:
        attributes = opened.get_study_user_attrs(opened.get_study_id_from_name(folder.name))
        spec, created = attributes["spec"], attributes["created"]
    except KeyError:
        raise StudyError(
            f"there is no study {folder.name!r} in {shown(url)}: make it with `sdar sweep --name {folder.name} "
            "--storage ...`, or correct the name"
        ) from None
    try:
        if type(created) not in (int, float) or not 0 <= created <= LAST_MOMENT or not isinstance(spec, str):
            raise ValueError
        content = parse_json(spec)
    except (Unreadable, ValueError):
        raise StudyError(
            f"the study {folder.name!r} in {shown(url)} is damaged: restore the database, or make it under another name"
        ) from None
    read_spec(content, folder / FILE)
    write_study(folder, content, created, url)


def _url(content: Mapping[str, Any], name: str) -> str | None:
    url = content["storage"]
    if url is not None and "***" in url:
        raise StudyError(f"the study {name!r} is in {url}, whose password is not kept: give the URL with --storage")
    return url


def _go_on(name: str) -> str:
    return f"go on with `sdar sweep resume {name}`, or choose another --name"


def _is_journal(storage: BaseStorage) -> bool:
    from optuna.storages import JournalStorage

    return isinstance(storage, JournalStorage)
