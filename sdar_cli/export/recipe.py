"""The recipe as it may be shown to others: without what names servers, stores and passwords."""

from __future__ import annotations

from typing import Any

from sdar_cli.recipe.dump import dump
from sdar_cli.recipe.schema import Engine, Recipe
from sdar_cli.tracking.location import redact

LEFT_OUT = "tracking"
"""The section that says where runs are written down, which is of no use to others."""


def public_recipe(recipe: Recipe) -> str:
    """Canonical YAML that ``load_recipe`` reads; addresses keep no user and no password."""
    engine = recipe.engine
    if engine.mode == "server":
        changes = {"mode": Engine().mode, "server_url": None, "sync_folder": None}
        engine = engine.model_copy(update=changes)
    shown = Recipe.model_validate(_redacted(recipe.model_copy(update={"engine": engine}).model_dump()))
    kept, inside = [], False
    for line in dump(shown).splitlines(keepends=True):
        inside = line.startswith(f"{LEFT_OUT}:") or (inside and line.startswith(" "))
        if not inside:
            kept.append(line)
    return "".join(kept)


def _redacted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _redacted(own) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(own) for own in value]
    return redact(value) if isinstance(value, str) and "://" in value else value
