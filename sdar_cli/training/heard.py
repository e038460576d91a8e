"""Who hears what a run has to tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sdar_cli.training.events import Listener, Listeners

if TYPE_CHECKING:
    from sdar_cli.evaluation.result import Evaluation
    from sdar_cli.tracking.journal import Journal
    from sdar_cli.tracking.tracker import Tracker
    from sdar_cli.training.follower import SilentTracker
    from sdar_cli.training.recorder import RunRecorder
    from sdar_cli.training.watch import Watch


@dataclass(frozen=True, slots=True)
class Heard:
    tracker: Tracker | SilentTracker
    journal: Journal
    watch: Watch
    recorder: RunRecorder | None
    """Rank 0's."""
    display: Listener

    @property
    def all(self) -> Listener:
        return Listeners(self.recorder or Listener(), self.display, self.watch)

    def kept(self, evaluation: Evaluation) -> None:
        """One that was measured before the run was interrupted."""
        if self.recorder is not None:
            self.recorder.kept(evaluation)
        if evaluation.step:
            self.watch.kept(evaluation)
