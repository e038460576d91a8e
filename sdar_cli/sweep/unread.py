"""Overrides that nothing reads beside the others: a cell of ``method=grpo`` has no use for ``distill.coef``.

``sdar train`` refuses such an override. In a study it is the usual case that some methods read a key and others do
not, so it is left out of the cells that do not read it, and refused only where no cell does.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from sdar_cli.recipe.layers import SYNONYMS, Layer, Merged, leaves
from sdar_cli.recipe.load import shipped_folder
from sdar_cli.recipe.methods import method_of, with_methods
from sdar_cli.recipe.schema import Recipe
from sdar_cli.recipe.unused import idle_keys


def without_unread(layers: Sequence[Layer], over: Sequence[Layer]) -> list[Layer]:
    """The layers, and of the overrides laid over them those that something reads.

    All are kept where they make no recipe together: ``resolve`` then says why.
    """
    merged = Merged()
    every = [*layers, *over]
    for layer in with_methods(every, method_of(every), shipped_folder() / "methods"):
        merged.apply(layer)
    try:
        recipe = Recipe.model_validate(merged.values)
    except ValidationError:
        return every
    idle = idle_keys(recipe)
    return [*layers, *(layer for layer in over if not _all_idle(layer, idle))]


def _all_idle(layer: Layer, idle: Sequence[str]) -> bool:
    keys = [SYNONYMS.get(dotted, dotted) for dotted, _ in leaves(layer.values)]
    return bool(keys) and all(any(key == name or key.startswith(f"{name}.") for name in idle) for key in keys)
