"""What ``sdar play`` was asked for: an environment by name, a recipe, or a run's checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from sdar_cli.evaluation.panel_source import CommandOptions
    from sdar_cli.recipe.schema import EnvironmentSection, Recipe
    from sdar_cli.runs.store import RunFolder


@dataclass(frozen=True, slots=True)
class Setting:
    """Where the episode takes place, and by whom."""

    section: EnvironmentSection
    split: str | None = None
    max_turns: int | None = None
    """None: until the environment ends it, or the player leaves."""
    recipe: Recipe | None = None
    weights: str | None = None
    """A Hugging Face folder or id, when a checkpoint plays."""
    run: RunFolder | None = None
    """Whose checkpoint that is, where it was named as a run's."""


def setting_of(
    environment: str | None,
    overrides: list[str],
    recipe: str | None,
    checkpoint: str | None,
    data: str | None,
    runs: Path | None,
) -> Setting:
    """The command's words as a setting; raises UserError where they say two things, or too little."""
    from sdar_cli.errors import UserError
    from sdar_cli.recipe.load import load_recipe
    from sdar_cli.runs.own_recipe import own_recipe

    options = {} if data is None else {"environment.options.data": ("--data", data)}
    if environment is not None and "=" in environment:
        overrides, environment = [environment, *overrides], None
    if environment is not None:
        if recipe is not None or checkpoint is not None:
            other = "--recipe" if recipe is not None else "--checkpoint"
            raise UserError(f"both {environment!r} and {other} say what to play: leave one out")
        return Setting(_section(environment, overrides, options))
    weights, run, named = None, None, recipe
    if checkpoint is not None:
        recipe, weights, run = _weights(checkpoint, recipe, runs)
    if recipe is None:
        raise UserError("what to play is unclear: name an environment, for example household, or give --recipe")
    load = own_recipe if named is None else load_recipe
    loaded = load(recipe, overrides=overrides, options=options).recipe
    return Setting(loaded.environment, loaded.evaluation.split, loaded.rollout.max_turns, loaded, weights, run)


def _section(environment: str, overrides: list[str], options: CommandOptions) -> EnvironmentSection:
    """An environment without a recipe, which ``environment.…`` overrides may change."""
    from sdar_cli.errors import UserError
    from sdar_cli.evaluation.panel_source import of_environment
    from sdar_cli.recipe.overrides import parse_override

    for text in overrides:
        key, _ = parse_override(text)
        if key == "environment.name":
            raise UserError(f"both {environment!r} and {text!r} say what to play: leave one out")
        if not key.startswith("environment."):
            raise UserError(f"{text!r} overrides a recipe, but none is given: use --recipe instead of ENV")
    return of_environment(environment, overrides, options).environment


def _weights(checkpoint: str, recipe: str | None, runs: Path | None) -> tuple[str, str, RunFolder | None]:
    """The recipe to play by, the weights behind RUN (its last checkpoint, else its base), and the run."""
    from sdar_cli.errors import RunError, UserError
    from sdar_cli.runs.resolve import ModelFolder, resolve_run
    from sdar_cli.tracking.location import runs_root

    target = resolve_run(checkpoint, runs_root(runs))
    if isinstance(target, ModelFolder):
        if recipe is None:
            raise UserError(f"{target.name} is a bare model: say which recipe to play it by, with --recipe NAME")
        return recipe, str(target.path or target.reference), None
    if recipe is not None:
        raise UserError(f"the run {target.name} has its own recipe: leave --recipe out")
    last = target.latest_checkpoint()
    if last is None and not target.base.is_dir():
        raise RunError(f"the run {target.name} has no checkpoint yet: let it train on, or name another run")
    return str(target.path / "recipe.yaml"), str(last.path if last is not None else target.base), target
