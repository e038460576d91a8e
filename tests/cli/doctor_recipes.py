"""Recipes that the doctor is asked about."""

from __future__ import annotations

from sdar_cli.recipe.load import load_recipe
from sdar_cli.recipe.schema import Recipe


def recipe(*overrides: str, name: str = "alfworld-qwen3-1.7b") -> Recipe:
    return load_recipe(name, overrides=overrides, check_environment=False).recipe
