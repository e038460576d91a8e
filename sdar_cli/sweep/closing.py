"""How cells end: their mean is told, they are pruned, MLflow is shown the study. Done twice, it is as done once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sdar_cli.evaluation.files import write_bytes
from sdar_cli.reading import Unreadable, read_text
from sdar_cli.sweep.prune import intermediate
from sdar_cli.sweep.results import Triple, one_line
from sdar_cli.sweep.store import StudyStore
from sdar_cli.sweep.view import CellView, StudyView

Publish = Callable[[StudyView, Path], object]
MARKER = "published"
"""File of a study's folder: how many cells had ended when MLflow was shown it."""


class Closing:
    def __init__(self, store: StudyStore, publish: Publish | None, say: Callable[[str], None]) -> None:
        self._store = store
        self._publish_to = publish
        self._say = say

    def settled(self) -> StudyView:
        """The study now, after telling what a worker that died left untold."""
        view = self._store.view()
        trials = self._store.cells.all()
        untold = [cell for cell in view.cells if cell.state == "done" and not trials[cell.index].state.is_finished()]
        if sum(self._tell(cell) for cell in untold):
            self._publish(view)
        return view

    def run_ended(self, index: int) -> None:
        """Tell, prune and publish what the end of a run in this cell brings about."""
        view = self._store.view()
        cell = view.cells[index]
        self._tell(cell)
        if cell.state == "running" and self._report(cell, {}) and self.prune_if_due(index):
            view = self._store.view()
        if view.cells[index].is_over:
            self._publish(view)

    def evaluated(self, index: int, seed: int, curve: Sequence[Triple]) -> bool:
        """Report a playing run's evaluations; whether its cell was pruned for them."""
        cell = self._store.view().cells[index]
        return self._report(cell, {seed: curve}) and self.prune_if_due(index)

    def prune_if_due(self, index: int) -> bool:
        trial = self._store.cells.all()[index]
        if not self._store.cells.should_prune(trial):
            return False
        if self._store.cells.prune(trial):
            self._say(f"cell {index}: pruned")
        return True

    def publish_last(self, view: StudyView) -> None:
        """Publish what a worker left that died while it published."""
        if not is_published(view, self._store.folder):
            self._publish(view)

    def _report(self, cell: CellView, playing: Mapping[int, Sequence[Triple]]) -> bool:
        """Report intermediate values; whether there were new ones."""
        values = intermediate(cell.runs, playing, self._store.spec.metric)
        if values.keys() <= cell.intermediate.keys():
            return False
        self._store.cells.report(self._store.cells.all()[cell.index], values)
        return True

    def _tell(self, cell: CellView) -> bool:
        """Tell the mean of a cell that is done; whether it was told just now."""
        if cell.state != "done" or cell.mean is None:
            return False
        self._report(cell, {})
        return self._store.cells.finish(self._store.cells.all()[cell.index], cell.mean)

    def _publish(self, view: StudyView) -> None:
        """What goes wrong in MLflow is said and changes nothing."""
        try:
            publish = self._publish_to or _publish_to_mlflow()
            publish(view, self._store.folder)
        except Exception as error:
            self._say(f"MLflow does not show the newest results yet ({one_line(str(error))})")
            return
        over = sum(cell.is_over for cell in view.cells)
        write_bytes(self._store.folder / MARKER, f"{over}\n".encode())


def is_published(view: StudyView, folder: Path) -> bool:
    """Whether MLflow was shown how all cells ended; a worker that is killed may leave that to the next."""
    try:
        return int(read_text(folder / MARKER, 64)) >= len(view.cells)
    except (Unreadable, ValueError):
        return False


def _publish_to_mlflow() -> Publish:
    from sdar_cli.sweep.publish import publish

    return publish
