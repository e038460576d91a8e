"""Listens with the guards, and says what they find: to the user, in the run's folder, in MLflow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from sdar_cli.errors import RunFailed
from sdar_cli.runs.checkpoints import SUCCESS
from sdar_cli.training import ranks
from sdar_cli.training.events import Listener
from sdar_cli.training.guards import Finding, Guards

if TYPE_CHECKING:
    from sdar_cli.evaluation.result import Evaluation
    from sdar_cli.recipe.schema import Recipe
    from sdar_cli.rollout.episode import Episode
    from sdar_cli.runs.store import RunFolder
    from sdar_cli.tracking.journal import Journal
    from sdar_cli.tracking.tracker import Tracker
    from sdar_cli.training.follower import SilentTracker

TAG = "sdar.warning."
"""MLflow tag of a warning, before its kind; the value is ``step N: sentence``."""
COLLAPSED = "sdar.collapsed"


class Watch(Listener):
    """``ended``: the collapse that ends the run, where ``guards.stop_on_collapse`` asks for that."""

    def __init__(self, recipe: Recipe, run: RunFolder, tracker: Tracker | SilentTracker, display: Listener) -> None:
        self._guards = Guards.of(recipe)
        self._stops = recipe.guards.stop_on_collapse
        self._every, self._steps = recipe.evaluation.every, recipe.train.steps
        self._run, self._tracker, self._display = run, tracker, display
        self._said = tuple(run.state.warnings)
        self.on_end: Callable[[], None] = lambda: None
        """Called when the collapse that ends the run is found."""
        self.on_failure: Callable[[RunFailed], None] = _raise
        """Called when nothing is left to train on; on every rank."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        return tuple(self._guards.findings)

    @property
    def ended(self) -> Finding | None:
        return self._guards.collapse if self._stops else None

    def catch_up(self, base: Evaluation, journal: Journal) -> None:
        """Go through what happened up to the checkpoint that training goes on from.

        What was warned of then is kept and not said again; what was warned of after the checkpoint is taken
        back, as those steps are played again.
        """
        before = {finding.kind for finding in self._run.state.warnings}
        self._guards.evaluation(base)
        self._guards.replay(self._between_steps(row) for row in ranks.from_main(journal.read))
        if self.findings != tuple(self._run.state.warnings):
            self._run.update(warnings=list(self.findings))
        for kind in before - {finding.kind for finding in self.findings}:
            self._tracker.untag(TAG + kind)
        for finding in self.findings:
            self._tag(finding)
        if before and self.ended is None:
            self._tracker.untag(COLLAPSED)

    def kept(self, evaluation: Evaluation) -> None:
        """A final evaluation from before an interruption; what was said of it then is not said again."""
        self._tell(self._guards.evaluation(evaluation), self._said)

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        self._tell(self._guards.metrics(step, values))
        try:
            ranks.from_main(lambda: self._guards.check_environment(values))
        except RunFailed as error:
            self.on_failure(error)

    def evaluation(self, evaluation: Evaluation, episodes: Sequence[Episode]) -> None:
        self._tell(self._guards.evaluation(evaluation))

    def _between_steps(self, row: Mapping[str, float]) -> dict[str, float]:
        """A row of the journal without what was measured after the last step: that comes behind it."""
        step, every = row["step"], self._every
        is_between = step == 0 or (every and step % every == 0 and step < self._steps)
        return {name: value for name, value in row.items() if is_between or name != SUCCESS}

    def _tell(self, found: Sequence[Finding], said: Sequence[Finding] = ()) -> None:
        for finding in found:
            if finding not in said:
                self._display.message(f"warning: {finding}")
            self._tag(finding)
        if found:
            self._run.update(warnings=list(self.findings))
        if ranks.from_main(lambda: self.ended in found):  # one word for all ranks
            self.on_end()

    def _tag(self, finding: Finding) -> None:
        self._tracker.tag(TAG + finding.kind, str(finding))
        if finding is self.ended:
            self._tracker.tag(COLLAPSED, str(finding))


def _raise(error: RunFailed) -> None:
    raise error
