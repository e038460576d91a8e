"""Keeps what training tells: run folder, metrics journal, MLflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sdar_cli.training.events import Listener

if TYPE_CHECKING:
    from sdar_cli.evaluation.result import Evaluation
    from sdar_cli.recipe.schema import Recipe
    from sdar_cli.rollout.episode import Episode
    from sdar_cli.runs.store import RunFolder
    from sdar_cli.tracking.journal import Journal
    from sdar_cli.tracking.tracker import Tracker


class RunRecorder(Listener):
    """Writes each event once: to the journal, to MLflow, and last what says that the others have it."""

    def __init__(self, run: RunFolder, recipe: Recipe, journal: Journal, tracker: Tracker) -> None:
        self.run, self.recipe, self.journal, self.tracker = run, recipe, journal, tracker

    def rollout(self, step: int, episodes: Sequence[Episode], signals: Mapping) -> None:
        if step % self.recipe.tracking.trace_every == 0:
            self.tracker.episodes(step, episodes, "train", signals, limit=self.recipe.tracking.traces)

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        self.journal.append(step, values)
        self.tracker.metrics(step, values)
        self.run.update(step=step)

    def evaluation(self, evaluation: Evaluation, episodes: Sequence[Episode]) -> None:
        self.kept(evaluation)
        traces = self.recipe.tracking.traces
        self.tracker.episodes(evaluation.step or 0, episodes, evaluation.mode, limit=traces)
        self.saving(evaluation.step or 0)
        self.run.save_evaluation(evaluation.name, evaluation.to_json())

    def kept(self, evaluation: Evaluation) -> None:
        """One that was measured before the run was interrupted: put again where it is missing."""
        step, values = evaluation.step or 0, evaluation.metrics()
        if not self.journal.holds(step, values):
            self.journal.append(step, values)
        self.tracker.evaluation(evaluation)

    def saving(self, step: int) -> None:
        self.journal.sync()
        self.tracker.sync()

    def checkpoint(self, step: int, folder: Path) -> None:
        train = self.recipe.train
        self.run.prune_checkpoints(train.keep_checkpoints, train.keep_best)
