"""The warm-up that a run's base comes from, also where the base was made before an interruption."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sdar_cli.errors import RunFailed
from sdar_cli.reading import Unreadable
from sdar_cli.tracking.warmup import TAG
from sdar_cli.training.warmup_cache import WarmBase, read_report, warmup_key
from sdar_cli.training.warmup_tracking import warmup_content

if TYPE_CHECKING:
    from sdar_cli.evaluation.result import Evaluation
    from sdar_cli.recipe.schema import Recipe
    from sdar_cli.runs.store import RunFolder
    from sdar_cli.tracking.tracker import Tracker
    from sdar_cli.training.base import Base
    from sdar_cli.workshop import Workshop


@dataclass(slots=True)
class Warmed:
    """Made by ``of``; without a warm-up, all it does is nothing."""

    recipe: Recipe
    run: RunFolder
    warmup: WarmBase | None

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
        """Tag the run with the warm-up's key, and see to it that the store gets its curves."""
        if self.warmup is None:
            return
        self.run.update(warmup=self.warmup.key)
        tracker.tag(TAG, self.warmup.key)
        tracker.warm_up(warmup_content(self.warmup, self.recipe))


def _kept(workshop: Workshop, run: RunFolder) -> WarmBase | None:
    recipe = workshop.recipe
    if recipe.warmup is None or recipe.init_from is not None:
        return None
    try:
        report = read_report(run.base)
    except Unreadable:  # a base of before there was one in it, or of before it said what it says now
        return None
    key = run.state.warmup or warmup_key(recipe, workshop.environment, workshop.bank)
    return WarmBase(key, run.base, report)
