"""A recipe from a name or a file: ``extends``, overlays and overrides merged, checked, with origins.

load_recipe("quickstart")
load_recipe("my.yaml", overlays=[Path("gpu.yaml")], overrides=["gate.temperature=0.2", "warmup=null"])
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sdar_cli.errors import RecipeError, UserError, several
from sdar_cli.paths import is_file, is_folder, user_path
from sdar_cli.reading import Unreadable, open_regular
from sdar_cli.recipe.explain import nearest, schema_keys, sentences
from sdar_cli.recipe.layers import SYNONYMS, Layer, Merged, layer_of, leaves, normalise
from sdar_cli.recipe.methods import method_of, with_methods
from sdar_cli.recipe.overrides import parse_override, shown
from sdar_cli.recipe.schema import Recipe
from sdar_cli.recipe.trust import check as check_trust
from sdar_cli.recipe.unused import unread_keys, unused_keys, without_idle
from sdar_cli.recipe.yaml_reader import read_file

DEFAULT = "default"
"""Origin of a value that no file, option or override set."""
IDLE = "not read"
"""Origin of a value that nothing reads under the recipe's method and choices."""
MAX_EXTENDS = 16


@dataclass(frozen=True, slots=True)
class ResolvedRecipe:
    recipe: Recipe
    origins: dict[str, str]
    """Dotted key → where its value came from: ``file.yaml:12``, an option, an override or ``default``."""
    source: Path | str
    """What was asked for: a shipped recipe's name, or a path."""


def shipped_folder() -> Path:
    """The folder of the recipes that come with the package."""
    import sdar_recipes

    return Path(sdar_recipes.__file__).parent


def shipped_recipes() -> list[str]:
    """Names of the recipes that can be trained as they are (not the bases under ``base/``)."""
    return sorted(path.stem for path in shipped_folder().glob("*.yaml"))


def recipe_file(reference: str) -> Path:
    """The file behind a shipped name or a path.

    Raises:
        RecipeError: neither exists; the sentence names the nearest recipe.
    """
    if not reference or "\0" in reference:
        raise RecipeError(f"{reference!r} is no recipe: give a name from `sdar recipes ls` or the path of a .yaml file")
    shipped = shipped_folder() / f"{reference}.yaml"
    if not Path(reference).is_absolute() and ".." not in Path(reference).parts and is_file(shipped):
        return shipped
    path = user_path(reference)
    if is_file(path):
        return path
    if is_folder(path) or path.suffix in (".yaml", ".yml") or path.is_absolute():
        try:
            open_regular(path).close()
        except Unreadable as error:
            hint = "give the path of a .yaml file or a shipped recipe's name"
            raise RecipeError(f"the recipe {reference} {error}: {hint}") from None
        return path
    meant = nearest(reference, shipped_recipes())
    hint = f"did you mean {meant!r}?" if meant else "choose one from `sdar recipes ls`, or give a .yaml file"
    raise RecipeError(f"there is no recipe {reference!r}: {hint}")


def load_recipe(
    reference: str,
    overlays: Sequence[Path] = (),
    overrides: Sequence[str] = (),
    options: Mapping[str, tuple[str, Any]] | None = None,
    check_environment: bool = True,
) -> ResolvedRecipe:
    """Read a recipe, lay overlays, command-line options and overrides over it in this order, and check it.

    Args:
        reference: a shipped recipe's name, or the path of a YAML file.
        overlays: further YAML files; the later wins.
        overrides: ``dotted.key=value``; the later wins.
        options: dotted key → (option's name, value), for example ``{"seed": ("--seed", 3)}``.
            ``model.path`` also clears ``model.tiny``, and it and ``init_from`` clear ``warmup``, unless an
            overlay or override sets them.
        check_environment: also import the environment, and check its options.

    Raises:
        RecipeError: one sentence for every key that is wrong, joined by newlines.
    """
    path = recipe_file(reference)
    layers = read_layers(reference, overlays, overrides, options)
    source = reference if path.is_relative_to(shipped_folder()) else path
    return resolve(layers, source, check_environment)


def read_layers(
    reference: str,
    overlays: Sequence[Path] = (),
    overrides: Sequence[str] = (),
    options: Mapping[str, tuple[str, Any]] | None = None,
) -> list[Layer]:
    """What ``load_recipe`` lays over one another: the files, the overlays, the options, then one layer an override.

    Raises:
        RecipeError: a file or an override cannot be read, or two overrides are the same wish.
    """
    path = recipe_file(reference)
    named = layer_of("name", path.stem, f"{path.name} (its file name)")
    layers = [named, *_file_layers(path)]
    typed = [_overlay(overlay) for overlay in overlays]
    over = [layer_of(*_split(text), f"the override {shown(text)}") for text in overrides]
    _refuse_synonyms(over)
    return layers + typed + _option_layers(options or {}, typed + over) + over


def named_model(reference: str, overrides: Sequence[str] = ()) -> str | None:
    """``model.path`` as files and overrides have it, before an option takes its place. Raises RecipeError."""
    merged = Merged()
    for layer in read_layers(reference, (), overrides):
        merged.apply(layer)
    model = merged.values.get("model")
    path = model.get("path") if isinstance(model, dict) else None
    return path if isinstance(path, str) else None


def resolve(layers: Sequence[Layer], source: Path | str, check_environment: bool = True) -> ResolvedRecipe:
    """The recipe of these layers, checked as ``load_recipe`` does."""
    layers = with_methods(layers, method_of(layers), shipped_folder() / "methods")
    check_trust(layers)
    merged = Merged()
    for layer in layers:
        merged.apply(layer)
    recipe = _validate(merged, str(source))
    if idle := unused_keys(recipe, layers):
        raise RecipeError(several(idle))
    recipe = without_idle(recipe)
    if check_environment:
        _check_environment(recipe, merged)
    return ResolvedRecipe(recipe, _origins(recipe, merged), source)


def _split(text: str) -> tuple[str, Any]:
    key, value = parse_override(text)
    if key == "extends" or key.startswith("extends."):
        raise RecipeError(
            f"the override {shown(text)!r} cannot change what a recipe extends: use --recipe or -c instead"
        )
    return key, value


def _overlay(path: Path) -> Layer:
    document = read_file(Path(path))
    values = {} if document.value is None else normalise(document.value, str(path))
    if "extends" in values:
        raise RecipeError(f"{path} is an overlay and cannot have 'extends': give it with --recipe, or remove the key")
    return Layer(values, str(path), document.lines)


def _file_layers(path: Path) -> list[Layer]:
    """The file and all that it extends, the furthest base first."""
    layers: list[Layer] = []
    seen: list[Path] = []
    while True:
        resolved = path.resolve()
        label = path.relative_to(shipped_folder()).as_posix() if path.is_relative_to(shipped_folder()) else str(path)
        if resolved in seen:
            raise RecipeError(f"{label} extends itself through {layers[0].origin}: break the circle of 'extends'")
        if len(seen) == MAX_EXTENDS:
            raise RecipeError(f"{label} is more than {MAX_EXTENDS} steps of 'extends' away: shorten the chain")
        seen.append(resolved)
        document = read_file(path)
        if document.value is None:
            raise RecipeError(f"{label} is empty: write at least 'environment' and a model into it")
        values = normalise(document.value, label)
        parent = values.pop("extends", None)
        layers.insert(0, Layer(values, label, document.lines))
        if parent is None:
            return layers
        path = _parent_file(parent, path, layers[0])


def _parent_file(parent: Any, child: Path, layer: Layer) -> Path:
    place = layer.place("extends")
    if not isinstance(parent, str) or not parent:
        raise RecipeError(f"{place}: extends is {parent!r}, but must be one recipe's name or path: correct it")
    if Path(parent).suffix in (".yaml", ".yml"):
        path = Path(os.path.normpath(child.parent / user_path(parent)))
        if not is_file(path):
            raise RecipeError(f"{place}: extends names {parent}, but {path} does not exist: correct the path")
        return path
    try:
        return recipe_file(parent)
    except RecipeError as error:
        raise RecipeError(f"{place}: {error}") from None


def _refuse_synonyms(over: Iterable[Layer]) -> None:
    over = list(over)
    for dotted, canonical in SYNONYMS.items():
        typed = [layer for layer in over if layer.sets(dotted)]
        other = [layer for layer in over if layer.sets(canonical)]
        if typed and other and typed != other:
            raise RecipeError(
                f"{typed[0].origin} and {other[0].origin} are the same wish said twice: remove one of them"
            )


def _option_layers(options: Mapping[str, tuple[str, Any]], typed: Sequence[Layer]) -> list[Layer]:
    layers = [layer_of(dotted, value, option) for dotted, (option, value) in options.items()]
    clears = {"model.path": ("model.tiny", "warmup"), "init_from": ("warmup",)}
    for dotted, cleared in clears.items():
        if dotted in options:
            for key in cleared:
                if not any(layer.sets(key) for layer in typed):
                    layers.append(layer_of(key, None, options[dotted][0]))
    return layers


def _validate(merged: Merged, reference: str) -> Recipe:
    def where(dotted: str) -> str:
        return merged.place(dotted) or reference

    try:
        return Recipe.model_validate(merged.values)
    except ValidationError as error:
        known = schema_keys(Recipe)
        raise RecipeError(several(sentences(error, where, known, aliases=SYNONYMS))) from None


def _check_environment(recipe: Recipe, merged: Merged) -> None:
    from sdar_cli.environments import check_options, resolve_environment

    try:
        resolve_environment(recipe.environment.name)
    except UserError as error:
        raise type(error)(f"{merged.place('environment.name')}: {error}") from error
    check_options(recipe.environment, lambda dotted: merged.place(dotted) or "the recipe")


def _origins(recipe: Recipe, merged: Merged) -> dict[str, str]:
    origins: dict[str, str] = {}
    idle = unread_keys(recipe)
    for dotted, _ in leaves(recipe.model_dump()):
        if any(dotted == key or dotted.startswith(f"{key}.") for key in idle):
            origins[dotted] = IDLE
            continue
        typed = next((name for name, canonical in SYNONYMS.items() if canonical == dotted), None)
        if typed is not None and typed in merged.places:
            origins[dotted] = f"{merged.places[typed]} (as {typed})"
        else:
            origins[dotted] = merged.place(dotted) if _is_set(dotted, merged) else DEFAULT
    return origins


def _is_set(dotted: str, merged: Merged) -> bool:
    """Whether some layer set the key itself (and not only a neighbour in its section)."""
    return dotted in merged.places or any(key.startswith(f"{dotted}.") for key in merged.places)
