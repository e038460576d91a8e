"""Tags by which a run is found in MLflow, all under ``sdar.``, beside those that the recipe names."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from sdar_cli.recipe.schema import Recipe

Kind = Literal["training", "evaluation", "study", "warm-up"]
STATUS, ERROR = "sdar.status", "sdar.error"
"""How a run stands in the words of ``sdar runs ls``, and the sentence that it failed with."""


def of_training(recipe: Recipe, folder: Path, *, panel: str, bank: str, commit: str | None) -> dict[str, str]:
    """``panel`` is the panel's digest, ``bank`` name and digest; a tag of the recipe wins over ours."""
    tags = {
        "sdar.kind": "training",
        "sdar.recipe": recipe.name,
        "sdar.method": recipe.method,
        "sdar.environment": recipe.environment.name,
        "sdar.model": model_name(recipe),
        "sdar.seed": str(recipe.seed),
        "sdar.panel": panel,
        "sdar.bank": bank,
        "sdar.run": folder.name,
        "sdar.folder": str(folder),
        "sdar.git_commit": commit or "unknown",
        "sdar.group": recipe.tracking.group or "",
        "sdar.trust_remote_code": "true" if recipe.model.trust_remote_code else "",
        "mlflow.source.git.commit": (commit or "").rstrip("+"),
        "mlflow.user": user(),
    }
    return {key: value for key, value in (tags | recipe.tracking.tags).items() if value}


def model_name(recipe: Recipe) -> str:
    """What RL starts from, in a word or two."""
    if recipe.init_from is not None:
        return recipe.init_from
    if recipe.model.path is not None:
        return recipe.model.path
    tiny = recipe.model.tiny
    return "tiny" if tiny is None else f"tiny {tiny.layers} × {tiny.width}"


def user() -> str:
    """The login name, as MLflow's own runs have it; empty where there is none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
