"""What MLflow gets of a warm-up: its settings and curves, for a run of their own (``sdar_cli.tracking.warmup``)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from sdar_cli.errors import without_credentials

if TYPE_CHECKING:
    from sdar_cli.recipe.schema import Recipe
    from sdar_cli.training.warmup_cache import WarmBase


def warmup_content(warm: WarmBase, recipe: Recipe) -> dict[str, Any]:
    """As plain data; what is no number, or not finite, is left out of the curves."""
    from sdar_cli.recipe.dump import dump

    return {
        "key": warm.key,
        "experiment": recipe.tracking.experiment or recipe.name,
        "recipe": recipe.name,
        "recipe_yaml": without_credentials(dump(recipe)),
        "settings": recipe.warmup.model_dump(mode="json"),
        "updates": int(warm.report["updates"]),
        "seconds": float(warm.report["seconds"]),
        "log": [{name: value for name, value in row.items() if _is_number(value)} for row in warm.report["log"]],
    }


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
