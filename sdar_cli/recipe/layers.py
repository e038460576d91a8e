"""Layers of a recipe and how they merge: later ones win, key by key, and every value keeps its origin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from sdar_cli.errors import RecipeError

SYNONYMS = {"gate.temperature": "gate.beta"}
"""Dotted keys that mean another one; of such a pair a layer may set one."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A partial recipe from one place: a file, an option or an override."""

    values: Mapping[str, Any]
    origin: str
    lines: Mapping[str, int] = field(default_factory=dict)
    typed: bool = False
    """Whether it is an option or override on the command line."""
    method_section: bool = False
    """Whether it was written for the chosen method alone."""

    def place(self, dotted: str) -> str:
        """Where a key was set: ``file.yaml:12``, or the origin where there are no lines."""
        while dotted:
            if dotted in self.lines:
                return f"{self.origin}:{self.lines[dotted]}"
            dotted = dotted.rpartition(".")[0]
        return self.origin

    def sets(self, dotted: str) -> bool:
        """Whether the layer mentions a key, or a part of it."""
        value: Any = self.values
        for part in dotted.split("."):
            if not isinstance(value, Mapping) or part not in value:
                return False
            value = value[part]
        return True


def layer_of(dotted: str, value: Any, origin: str) -> Layer:
    """The layer that sets a single dotted key."""
    for part in reversed(dotted.split(".")):
        value = {part: value}
    return Layer(normalise(value, origin), origin, typed=True)


def normalise(values: Any, origin: str) -> dict[str, Any]:
    """A layer's values with ``environment: name`` written out as a section."""
    if not isinstance(values, Mapping):
        raise RecipeError(f"{origin} does not hold keys and values: write a recipe as 'key: value' lines")
    result = deepcopy(dict(values))
    if isinstance(result.get("environment"), str):
        result["environment"] = {"name": result["environment"]}
    return result


@dataclass(slots=True)
class Merged:
    """The layers so far: values, and for every leaf the layer that set it."""

    values: dict[str, Any] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)

    def apply(self, layer: Layer) -> None:
        """Lay a layer over. Sections merge key by key; null and plain values replace.

        Another environment's name drops the options of the one before, which it would not know.
        """
        for dotted, canonical in SYNONYMS.items():
            if layer.sets(dotted) and layer.sets(canonical):
                raise RecipeError(f"{layer.place(dotted)}: {canonical} and {dotted} are the same wish: set one of them")
            for typed, other in ((dotted, canonical), (canonical, dotted)):
                if layer.sets(typed):
                    self._drop(other)
        self._forget_other_environment(layer)
        self._merge(self.values, layer.values, "", layer)

    def place(self, dotted: str) -> str | None:
        """Where a key, or failing that the section around it or a key inside it, was set."""
        around = dotted
        while around:
            if around in self.places:
                return self.places[around]
            around = around.rpartition(".")[0]
        inside = [place for key, place in self.places.items() if key.startswith(f"{dotted}.")]
        return inside[-1] if inside else None

    def _forget_other_environment(self, layer: Layer) -> None:
        before, after = self.values.get("environment"), layer.values.get("environment")
        if not isinstance(before, dict) or not isinstance(after, Mapping):
            return
        if after.get("name", before.get("name")) != before.get("name"):
            self._drop("environment.options")

    def _drop(self, dotted: str) -> None:
        *parents, name = dotted.split(".")
        section: Any = self.values
        for parent in parents:
            section = section.get(parent) if isinstance(section, dict) else None
        if isinstance(section, dict):
            section.pop(name, None)
        self._forget(dotted)

    def _forget(self, dotted: str) -> None:
        for key in [key for key in self.places if key == dotted or key.startswith(f"{dotted}.")]:
            del self.places[key]

    def _merge(self, into: dict[str, Any], values: Mapping[str, Any], prefix: str, layer: Layer) -> None:
        for key, value in values.items():
            dotted = f"{prefix}{key}"
            if key in into and not (isinstance(value, Mapping) and isinstance(into[key], dict)):
                self._forget(dotted)
            if isinstance(value, Mapping) and value:
                if not isinstance(into.get(key), dict):
                    into[key] = {}
                self._merge(into[key], value, f"{dotted}.", layer)
            else:
                if isinstance(value, Mapping) and isinstance(into.get(key), dict):
                    continue
                into[key] = deepcopy(value) if not isinstance(value, Mapping) else {}
                self.places[dotted] = layer.place(dotted)


def leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key and value of everything that is not a non-empty section."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
