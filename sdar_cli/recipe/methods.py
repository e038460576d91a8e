"""What a method brings to a recipe: its shipped preset, and a recipe's own ``methods:`` section for it.

    methods:
      skill_sd: {distill: {coef: 0.1}}      # applies with --method skill_sd

A preset lies under the recipe, a section over the file that holds it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from sdar_cli.errors import RecipeError
from sdar_cli.objectives.registry import OBJECTIVES
from sdar_cli.recipe.explain import nearest, schema_keys, unknown_key
from sdar_cli.recipe.layers import SYNONYMS, Layer, leaves
from sdar_cli.recipe.schema import Recipe
from sdar_cli.recipe.yaml_reader import read_file

SECTION = "methods"


def method_of(layers: Sequence[Layer]) -> str:
    """The method that the layers choose; an unknown one is left to validation."""
    for layer in reversed(layers):
        if layer.sets("method") and isinstance(layer.values["method"], str):
            return layer.values["method"]
    return Recipe.model_fields["method"].default


def with_methods(layers: Sequence[Layer], method: str, presets: Path) -> list[Layer]:
    """The layers without their ``methods:`` sections, the chosen method's preset and sections among them.

    Raises:
        RecipeError: a section for a method or with a key that does not exist.
    """
    out = _preset(method, presets)
    for layer in layers:
        values = {key: value for key, value in layer.values.items() if key != SECTION}
        out.append(replace(layer, values=values))
        sections = layer.values.get(SECTION)
        if sections is None:
            continue
        _check(sections, layer)
        if sections.get(method):
            prefix = f"{SECTION}.{method}."
            lines = {key.removeprefix(prefix): line for key, line in layer.lines.items() if key.startswith(prefix)}
            out.append(replace(layer, values=sections[method], lines=lines, method_section=True))
    return out


def _preset(method: str, presets: Path) -> list[Layer]:
    path = presets / f"{method}.yaml"
    if method not in OBJECTIVES or not path.is_file():
        return []
    written = path.stat()
    return [_read_preset(path, written.st_mtime_ns, written.st_size)]


@lru_cache(maxsize=64)
def _read_preset(path: Path, written: int, size: int) -> Layer:
    """A study of 2,000 cells asks for a preset thousands of times; one that was edited meanwhile is read anew."""
    document = read_file(path)
    return Layer(document.value or {}, f"methods/{path.name}", document.lines)


def _check(sections: object, layer: Layer) -> None:
    place = layer.place(SECTION)
    if not isinstance(sections, Mapping):
        raise RecipeError(f"{place}: methods is {sections!r}, but must hold a section for each method: correct it")
    known = {*schema_keys(Recipe), *SYNONYMS} - {"method"}
    for method, values in sections.items():
        if method not in OBJECTIVES:
            meant = nearest(str(method), OBJECTIVES)
            hint = f"did you mean {meant!r}?" if meant else f"choose from {', '.join(OBJECTIVES)}"
            raise RecipeError(f"{layer.place(f'{SECTION}.{method}')}: there is no method {method!r}: {hint}")
        if not isinstance(values, Mapping):
            raise RecipeError(
                f"{layer.place(f'{SECTION}.{method}')}: methods.{method} is {values!r}, but must be a section of keys: "
                "correct it"
            )
        for dotted, _ in leaves(values):
            if dotted not in known and not dotted.startswith(("environment.options.", "model.template_kwargs.")):
                raise RecipeError(unknown_key(dotted, layer.place(f"{SECTION}.{method}.{dotted}"), known))
