"""A warm-up in MLflow: a run of its own beside the trainings that start from it, once a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdar_cli.tracking.tracker import Tracker
from sdar_cli.training.warmup_cache import WarmBase

if TYPE_CHECKING:
    from sdar_cli.recipe.schema import Recipe

TAG = "sdar.warmup"
"""The warm-up's key, on its own run and on every training that started from it."""


def track_warmup(warm: WarmBase, recipe: Recipe, uri: str, tracker: Tracker) -> None:
    """Write the warm-up's curves unless the experiment has them, and tag the training with its key."""
    from sdar_cli.recipe.dump import dump

    if not tracker.has_run({TAG: warm.key, "sdar.kind": "warm-up"}):
        own = Tracker.start(
            uri=uri,
            experiment=recipe.tracking.experiment or recipe.name,
            run_name=f"warm-up-{warm.key[:8]}",
            recipe_yaml=dump(recipe),
            params={f"warmup.{key}": value for key, value in recipe.warmup.model_dump(mode="json").items()},
            tags={TAG: warm.key, "sdar.kind": "warm-up", "sdar.recipe": recipe.name},
        )
        for row in warm.report["log"]:
            values = {f"warmup/{name}": value for name, value in row.items() if name != "step"}
            own.metrics(int(row["step"]), values)
        own.metrics(int(warm.report["updates"]), {"warmup/seconds": warm.report["seconds"]})
        own.finish()
    tracker.tag(TAG, warm.key)
