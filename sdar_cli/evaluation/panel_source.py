"""What a panel is drawn from: a recipe, or an environment alone; each with overrides and options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from sdar_cli.errors import RecipeError, several
from sdar_cli.recipe.explain import schema_keys, sentences
from sdar_cli.recipe.layers import Merged, layer_of
from sdar_cli.recipe.load import load_recipe
from sdar_cli.recipe.overrides import parse_override, shown
from sdar_cli.recipe.schema import EnvironmentSection, Evaluation, Section

CommandOptions = Mapping[str, tuple[str, Any]]
"""Dotted key → (option's name, value), as for ``load_recipe``."""


class PanelSource(Section):
    """The two sections of a recipe that a panel depends on."""

    environment: EnvironmentSection
    evaluation: Evaluation = Evaluation()


def of_recipe(reference: str, overrides: Sequence[str], options: CommandOptions) -> PanelSource:
    """Raises RecipeError, as ``load_recipe``."""
    recipe = load_recipe(reference, [], overrides, options).recipe
    return PanelSource(environment=recipe.environment, evaluation=recipe.evaluation)


def of_environment(name: str, overrides: Sequence[str], options: CommandOptions) -> PanelSource:
    """The environment with its own defaults, and the schema's for the evaluation.

    Raises RecipeError: one sentence for every key that is unknown, or whose value is wrong.
    """
    merged = Merged()
    merged.apply(layer_of("environment.name", name, "--environment"))
    for dotted, (option, value) in options.items():
        merged.apply(layer_of(dotted, value, option))
    for text in overrides:
        merged.apply(layer_of(*parse_override(text), f"the override {shown(text)}"))
    try:
        return PanelSource.model_validate(merged.values)
    except ValidationError as error:
        place = merged.place
        found = sentences(error, lambda dotted: place(dotted) or "--environment", schema_keys(PanelSource))
        raise RecipeError(several(found)) from None
