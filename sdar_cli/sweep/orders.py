"""What a study has to say to a run while it plays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from sdar_cli.sweep.claims import Entry
from sdar_cli.sweep.closing import Closing
from sdar_cli.sweep.results import Triple, evaluations
from sdar_cli.sweep.runner import Order
from sdar_cli.sweep.store import StudyStore


class Orders:
    """Called now and then; also keeps the pruner up to date with the run's evaluations."""

    def __init__(
        self, store: StudyStore, entry: Entry, folder: Path, closing: Closing, trouble: Callable[[Exception], None]
    ) -> None:
        """
        Args:
            store: the study.
            entry: the attempt.
            folder: the run's.
            closing: prunes.
            trouble: told of a storage that cannot be reached; the run goes on meanwhile.
        """
        self._store = store
        self._entry = entry
        self._folder = folder
        self._closing = closing
        self._trouble = trouble
        self._size = -1

    def __call__(self) -> Order | None:
        from optuna.exceptions import StorageInternalError

        try:
            return self._look()
        except (StorageInternalError, OSError) as error:
            self._trouble(error)
            return None

    def _look(self) -> Order | None:
        if not self._store.ledger.entry(self._entry.trial).is_live:
            return "taken"
        if self._store.pause_asked == "now":
            return "paused"
        if self._store.spec.pruner is None:
            return None
        cell, seed = self._entry.key
        if self._store.cells.all()[cell].state.name == "PRUNED":
            return "pruned"
        curve = self._news()
        return "pruned" if curve and self._closing.evaluated(cell, seed, curve) else None

    def _news(self) -> Sequence[Triple]:
        """The evaluations so far, where something was written since the last call."""
        file = self._folder / "metrics.jsonl"
        size = file.stat().st_size if file.exists() else -1
        if size == self._size:
            return ()
        self._size = size
        return evaluations(self._folder)
