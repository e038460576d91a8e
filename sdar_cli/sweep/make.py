"""From what a person asked for to a study's specification, with every setting checked before anything is made."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sdar_cli.errors import UserError
from sdar_cli.recipe import trust
from sdar_cli.recipe.dump import dump
from sdar_cli.recipe.layers import Layer
from sdar_cli.recipe.load import ResolvedRecipe, read_layers, resolve
from sdar_cli.recipe.overrides import parse_override
from sdar_cli.sweep.check import Tick, check, equal_cells, known_settings
from sdar_cli.sweep.draws import MAX_CELLS, combinations
from sdar_cli.sweep.space import Axis, SpaceError, as_yaml, check_keys, read_words, same
from sdar_cli.sweep.space_file import PruneKind, SpaceFile, read_space
from sdar_cli.sweep.spec import NAME, Pruner, StudySpec
from sdar_cli.sweep.unread import without_unread

DEFAULT_SEEDS = 3
"""Runs of a cell where nothing is said."""
MAX_SEEDS = 1000

Search = Literal["grid", "random", "tpe"]
Metric = Literal["success", "score"]


@dataclass(frozen=True, slots=True)
class Wish:
    """What was typed."""

    recipe: str
    words: Sequence[str] = ()
    """Axes and overrides."""
    space: Path | None = None
    overlays: Sequence[Path] = ()
    options: Mapping[str, tuple[str, Any]] = field(default_factory=dict)
    """As ``load_recipe`` takes them."""
    search: Search | None = None
    cells: int | None = None
    seeds: str | None = None
    prune: PruneKind | None = None
    metric: Metric | None = None
    name: str | None = None
    sampler_seed: int | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Made:
    spec: StudySpec
    combinations: int | None
    """Of all values, before settings that nothing tells apart fell together; None for a continuous space."""
    first: ResolvedRecipe
    """The recipe of the first cell, or of a corner of the space where cells are not known in advance."""


def make_spec(wish: Wish, tick: Tick | None = None) -> Made:
    """
    Args:
        tick: told of every setting that is tried.

    Raises:
        UserError: one sentence; nothing was made.
    """
    file = None if wish.space is None else read_space(wish.space)
    axes, fixed = _space(wish, file)
    search = _search(wish.search or (file and file.search), axes)
    cells = _cells(wish.cells if wish.cells is not None else (file and file.cells), search, axes)
    draft = StudySpec(
        name=_name(wish.name, wish.recipe),
        recipe=wish.recipe,
        layers=tuple(_layers(wish, axes, fixed)),
        recipe_yaml="",
        overlays=tuple(map(str, wish.overlays)),
        options=tuple((option,) if value is True else (option, str(value)) for option, value in wish.options.values()),
        overrides=tuple(fixed),
        axes=tuple(axes),
        search=search,
        cells=cells,
        settings=None,
        seeds=(0,),
        pruner=_pruner(wish.prune, file and file.prune),
        metric=wish.metric or (file and file.metric) or "success",
        sampler_seed=_first(wish.sampler_seed, file and file.sampler_seed, 0),
        note=_first(wish.note, file and file.note, ""),
        folder=str(Path.cwd()),
    )
    _check_finite(draft)
    settings = known_settings(draft)
    recipes = check(draft, settings, tick)
    if search == "grid":
        double = equal_cells(recipes)
        settings = [params for position, params in enumerate(settings) if position not in double]
    changes = {
        "settings": None if search == "tpe" else tuple(settings),
        "cells": cells if search == "tpe" else len(settings),
        "seeds": _seeds(wish.seeds if wish.seeds is not None else (file and file.seeds), recipes[0].recipe.seed),
        "recipe_yaml": dump(_base(draft, recipes[0]).recipe),
    }
    return Made(draft.model_copy(update=changes), combinations(axes), recipes[0])


def _space(wish: Wish, file: SpaceFile | None) -> tuple[list[Axis], list[str]]:
    """The file's axes and overrides, replaced by those of the command line where both name a key."""
    axes, fixed = map(list, read_words(wish.words))
    if trust.wants(map(parse_override, fixed)):
        trust.ask()
    if file is None:
        return axes, fixed
    typed = [axis.key for axis in axes] + [parse_override(word)[0] for word in fixed]
    other_axes, other_fixed = file.split(str(wish.space))
    axes = [axis for axis in other_axes if not any(same(axis.key, key) for key in typed)] + axes
    fixed = [word for word in other_fixed if not any(same(parse_override(word)[0], key) for key in typed)] + fixed
    check_keys(axes, fixed)
    return axes, fixed


def _search(given: Search | None, axes: Sequence[Axis]) -> Search:
    ranges = [axis for axis in axes if axis.choices is None]
    if given == "grid" and (endless := [axis for axis in ranges if axis.count is None]):
        axis = endless[0]
        ends = ",".join(as_yaml(end) for end in axis.corners)
        raise SpaceError(
            f"{axis} has no end of values for a grid: list some ({axis.key}={ends}), give a step, or search with "
            "--search random --cells N"
        )
    return given or ("random" if ranges else "grid")


def _cells(given: int | None, search: Search, axes: Sequence[Axis]) -> int:
    """The number of cells that was asked for; of a grid it is not known yet."""
    if search == "grid":
        if given is not None:
            raise UserError(
                "--cells is for --search random and tpe, as a grid has all its settings: leave it out, or give one"
            )
        return 1
    if given is None:
        ranges = [str(axis) for axis in axes if axis.choices is None]
        why = f"with {ranges[0]}" if ranges else f"with --search {search}"
        raise UserError(f"{why} a study does not end by itself: say how many settings to try, for example --cells 12")
    if not axes:
        raise UserError(f"nothing varies, so there is nothing for --search {search} to try: give an axis, KEY=A,B,C")
    if not 1 <= given <= MAX_CELLS:
        raise UserError(f"--cells is {given}, but must be between 1 and {MAX_CELLS:,}: correct it")
    return given


def _layers(wish: Wish, axes: Sequence[Axis], fixed: Sequence[str]) -> list[Layer]:
    """All but the overrides and the axes, which still have a say: ``--model`` drops a warm-up that nothing sets."""
    over = [*fixed, *(f"{axis.key}={as_yaml(axis.corners[0])}" for axis in axes)]
    layers = read_layers(wish.recipe, list(wish.overlays), over, wish.options)
    return layers[: len(layers) - len(over)]


def _base(spec: StudySpec, first: ResolvedRecipe) -> ResolvedRecipe:
    """The recipe without the axes, or the first cell's where it is none without them."""
    try:
        return resolve(without_unread(*spec.run_layers({})), spec.recipe)
    except UserError:
        return first


def _seeds(given: str | int | list[int] | None, first: int) -> tuple[int, ...]:
    """So many seeds from the recipe's on, or those that are listed."""
    text = str(given) if isinstance(given, int | str) else None
    if given is None:
        return tuple(range(first, first + DEFAULT_SEEDS))
    if text is not None and re.fullmatch(r"\s*\d{1,9}\s*", text, re.ASCII):
        if not 1 <= int(text) <= MAX_SEEDS:
            raise UserError(f"--seeds is {text}, but must be between 1 and {MAX_SEEDS}: correct it")
        return tuple(range(first, first + int(text)))
    words = text.split(",") if text is not None else [str(seed) for seed in given]
    if not words or not all(re.fullmatch(r"\s*\d{1,10}\s*", word, re.ASCII) and int(word) < 2**32 for word in words):
        raise UserError(
            f"--seeds is {text or given}, but must be a number of seeds or a list such as 3,7,11: correct it"
        )
    seeds = tuple(int(word) for word in words)
    if len(set(seeds)) < len(seeds):
        raise UserError(f"--seeds {text or given} holds a seed twice: list each once")
    return seeds


def _pruner(typed: PruneKind | None, filed: PruneKind | Pruner | None) -> Pruner | None:
    given = typed or filed
    if isinstance(given, Pruner):
        return given
    if isinstance(filed, Pruner) and filed.kind == given:
        return filed
    return None if given in (None, "none") else Pruner(kind=given)


def _name(given: str | None, recipe: str) -> str:
    if given is None:
        slug = re.sub(r"[^A-Za-z0-9.]+", "-", Path(recipe).stem).strip("-.")[:50] or "study"
        return f"{slug}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"
    if not re.fullmatch(NAME, given) or given == "latest":
        raise UserError(f"{given!r} cannot name a study: use letters, digits, '.', '_' and '-', at most 80")
    return given


def _check_finite(spec: StudySpec) -> None:
    try:
        json.dumps([layer.values for layer in spec.layers], allow_nan=False)
    except ValueError:
        raise SpaceError(f"the recipe {spec.recipe} holds a number that is not finite: correct it") from None


def _first(*values: Any) -> Any:
    return next(value for value in values if value is not None)
