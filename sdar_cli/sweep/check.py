"""Every setting of a study is tried as a recipe before anything is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

from sdar_cli.errors import RecipeError, UserError
from sdar_cli.recipe.dump import recipe_digest
from sdar_cli.recipe.load import ResolvedRecipe, resolve
from sdar_cli.sweep.draws import MAX_CELLS, combinations, corners, distinct, draws, every, identity
from sdar_cli.sweep.space import SpaceError
from sdar_cli.sweep.spec import StudySpec
from sdar_cli.sweep.unread import without_unread

CORNERS = 64
"""Combinations of choices and ends of ranges that are tried of a space too large to try all of it."""
PROBES = 16
"""Settings of it that are drawn at random and tried too."""

Tick = Callable[[int, int], None]
"""Called with the settings tried so far, and their number."""


def known_settings(spec: StudySpec) -> list[dict[str, Any]]:
    """The cells of a search that knows them in advance, in order; none for tpe.

    Raises:
        SpaceError: the space is too large for a grid, or too small for the cells that were asked for.
    """
    size = combinations(spec.axes)
    if spec.search == "grid":
        assert size is not None
        if size > MAX_CELLS:
            raise SpaceError(
                f"the grid has {size:,} combinations, and a study holds at most {MAX_CELLS:,} cells: list fewer "
                "values, or search with --search random --cells N"
            )
        return every(spec.axes, spec.settle)
    found = distinct(spec.axes, spec.sampler_seed, spec.cells, spec.settle)
    if len(found) < spec.cells:
        raise SpaceError(
            f"{spec.cells} cells were asked for, but the space holds {len(found)} settings that differ: ask for at "
            f"most {len(found)} with --cells, or for all with --search grid"
        )
    return found if spec.search == "random" else []


def check(spec: StudySpec, settings: Sequence[dict[str, Any]], tick: Tick | None = None) -> list[ResolvedRecipe]:
    """The recipes of the settings, or of probes of a space whose settings are not known, in order.

    Raises:
        RecipeError: a setting cannot work, or no setting reads one of the keys; the sentence names key and value.
        UserError: the study wants to prune runs that are not evaluated on the way.
    """
    trials = list(settings)
    if spec.search != "grid":
        trials += [*corners(spec.axes, CORNERS), *islice(draws(spec.axes, spec.sampler_seed), PROBES)]
    trials = list({identity(trial): trial for trial in trials}.values())
    recipes: list[ResolvedRecipe] = []
    read: set[str] = set()
    for number, params in enumerate(trials):
        if tick is not None:
            tick(number, len(trials))
        layers, over = spec.run_layers(params)
        kept = without_unread(layers, over)
        read |= {key for layer in kept[len(layers) :] for key in _keys(spec) if layer.sets(key)}
        recipes.append(_resolve(spec, params, kept))
        _check_pruning(spec, recipes[-1])
    for key in _keys(spec):
        if key not in read:
            _refuse_unread(spec, key)
    return recipes


def _keys(spec: StudySpec) -> list[str]:
    return [axis.key for axis in spec.axes] + [word.partition("=")[0].strip() for word in spec.overrides]


def _resolve(spec: StudySpec, params: dict[str, Any], layers: Sequence[Any]) -> ResolvedRecipe:
    try:
        return resolve(layers, spec.recipe)
    except RecipeError as error:
        sentences = str(error).splitlines()
        if not params or all(sentence.startswith(("the axis ", "the override ")) for sentence in sentences):
            raise
        raise type(error)(f"the setting {spec.label(params)} cannot work: {sentences[0]}") from None


def _check_pruning(spec: StudySpec, resolved: ResolvedRecipe) -> None:
    recipe = resolved.recipe
    if spec.pruner is not None and not 0 < recipe.evaluation.every < recipe.train.steps:
        raise UserError(
            f"--prune {spec.pruner.kind} needs evaluations while training, and evaluation.every="
            f"{recipe.evaluation.every} gives none in {recipe.train.steps} steps: set for example "
            f"evaluation.every={max(1, recipe.train.steps // 10)}"
        )


def _refuse_unread(spec: StudySpec, key: str) -> None:
    """Say why nothing reads a key, by the sentence of the first setting that has it."""
    params = next(corners(spec.axes, 0), {})
    layers, over = spec.run_layers(params)
    named = [layer for layer in over if layer.sets(key)]
    others = [layer for layer in without_unread(layers, over)[len(layers) :] if layer not in named]
    resolve([*layers, *others, *named], spec.recipe)
    raise SpaceError(f"no setting reads {key}: remove it")


def equal_cells(recipes: Sequence[ResolvedRecipe]) -> list[int]:
    """Positions of recipes that are another's equal, which stands before them."""
    seen: set[str] = set()
    found = []
    for position, resolved in enumerate(recipes):
        digest = recipe_digest(resolved.recipe)
        if digest in seen:
            found.append(position)
        seen.add(digest)
    return found
