"""A recipe as YAML, with or without origins, and its digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sdar_cli.recipe.schema import Recipe
from sdar_cli.recipe.unused import idle_keys
from sdar_cli.recipe.yaml_reader import scalar

if TYPE_CHECKING:
    from sdar_cli.recipe.load import ResolvedRecipe


def dump(recipe: Recipe) -> str:
    """Canonical YAML: every key that is read, in the schema's order. ``load_recipe`` reads the same recipe back."""
    values = recipe.model_dump()
    for dotted in idle_keys(recipe):
        section, name = dotted.split(".")
        del values[section][name]
        if not values[section]:
            del values[section]
    return _to_yaml(values, flow=False)


def annotated(resolved: ResolvedRecipe) -> str:
    """The same as YAML with the origin of every value as a comment behind it."""
    rows: list[tuple[str, str]] = []

    def walk(values: Mapping[str, Any], prefix: str, indent: str) -> None:
        for key, value in values.items():
            name = indent + _to_yaml(str(key), flow=True)
            if isinstance(value, Mapping) and value:
                rows.append((f"{name}:", ""))
                walk(value, f"{prefix}{key}.", indent + "  ")
            else:
                rows.append((f"{name}: {_to_yaml(value, flow=True)}", resolved.origins[f"{prefix}{key}"]))

    walk(resolved.recipe.model_dump(), "", "")
    width = min(44, max(len(text) for text, _ in rows))
    return "\n".join(f"{text:<{width}}  # {_one_line(origin)}" if origin else text for text, origin in rows) + "\n"


def _one_line(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _to_yaml(value: Any, flow: bool) -> str:
    """A value as YAML; ``flow``: on a single line."""
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    def represent_text(dumper: yaml.SafeDumper, text: str) -> Any:
        quoted = "'" if not isinstance(scalar(text), str) else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=quoted)

    Dumper.add_representer(str, represent_text)
    options: dict[str, Any] = {"width": 10**9, "default_flow_style": True} if flow else {"width": 100}
    text = yaml.dump(
        value, Dumper=Dumper, sort_keys=False, allow_unicode=True, **{"default_flow_style": False, **options}
    )
    return text.removesuffix("\n").removesuffix("\n...") if flow else text


def recipe_digest(recipe: Recipe) -> str:
    """SHA-256 (hex) over the recipe's canonical JSON: equal settings, equal digest."""
    text = json.dumps(recipe.model_dump(mode="json"), sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
