"""The warm-up that a run's base comes from, also where the base was made before an interruption."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sdar_cli.errors import RunFailed, without_credentials
from sdar_cli.reading import Unreadable, read_json
from sdar_cli.tracking.location import redact
from sdar_cli.training.warmup_cache import REPORT, WarmBase, warmup_key
from sdar_cli.training.warmup_tracking import TAG, track_warmup

if TYPE_CHECKING:
    from sdar_cli.evaluation.result import Evaluation
    from sdar_cli.recipe.schema import Recipe
    from sdar_cli.runs.store import RunFolder
    from sdar_cli.tracking.tracker import Tracker
    from sdar_cli.training.base import Base
    from sdar_cli.training.events import Listener
    from sdar_cli.workshop import Workshop

LARGEST = 64 * 1024**2
"""Bytes of a warm-up's report."""


@dataclass(slots=True)
class Warmed:
    """Made by ``of``; without a warm-up, all it does is nothing."""

    recipe: Recipe
    run: RunFolder
    warmup: WarmBase | None
    _failed: Exception | None = None

    @classmethod
    def of(cls, base: Base, workshop: Workshop, run: RunFolder) -> Warmed:
        return cls(workshop.recipe, run, base.warmup or _kept(workshop, run))

    def check_competence(self, with_skills: Evaluation) -> None:
        """
        Raises:
            RunFailed: the warm-up did not reach what the recipe requires.
        """
        warmup = self.recipe.warmup
        if warmup is None or self.recipe.init_from is not None:
            return
        reached = with_skills.summary.success.estimate
        if reached < warmup.required_success:
            raise RunFailed(
                f"the warm-up reached {reached:.0%} success with skills, below warmup.required_success="
                f"{warmup.required_success:.0%}, so there is nothing to internalise: raise warmup.demonstrations or "
                "warmup.epochs, or lower what is required"
            )

    def track(self, tracker: Tracker) -> None:
        """Tag the run with the warm-up's key, and see to it that the store has its curves."""
        if self.warmup is None:
            return
        self.run.update(warmup=self.warmup.key)
        tracker.tag(TAG, self.warmup.key)
        self._failed = track_warmup(self.warmup, self.recipe, self.run.state.tracking_uri)

    def track_again(self, listener: Listener) -> None:
        """At the end of the run, where the store did not take the curves at its beginning."""
        if self.warmup is None or self._failed is None:
            return
        uri = self.run.state.tracking_uri
        self._failed = track_warmup(self.warmup, self.recipe, uri)
        if self._failed is not None:
            why = " ".join(without_credentials(str(self._failed)).split())[:160] or type(self._failed).__name__
            listener.message(
                f"the warm-up's curves did not reach the MLflow store {redact(uri)} ({why}): they "
                f"are in {self.run.base / REPORT}, and go there with the next run that starts from it"
            )


def _kept(workshop: Workshop, run: RunFolder) -> WarmBase | None:
    recipe = workshop.recipe
    if recipe.warmup is None or recipe.init_from is not None:
        return None
    try:
        report = read_json(run.base / REPORT, LARGEST)
    except Unreadable:  # a base of before there was a report in it
        return None
    key = run.state.warmup or warmup_key(recipe, workshop.environment, workshop.bank)
    return WarmBase(key, run.base, report)
