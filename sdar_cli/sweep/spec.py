"""A study on paper: the recipe, what varies, over which seeds, and how settings are chosen. Content of ``study.json``.

A *cell* is one setting, a *run* is a cell under one seed. Whoever starts a run trains ``run_recipe``, written to a
file with ``recipe.dump.dump``: it is whole, and asks for nothing of the machine that made the study.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from sdar_cli.recipe import trust
from sdar_cli.recipe.layers import Layer, layer_of
from sdar_cli.recipe.load import ResolvedRecipe, resolve
from sdar_cli.recipe.overrides import parse_override, shown
from sdar_cli.recipe.schema import Seed
from sdar_cli.sweep.space import Axis, as_yaml
from sdar_cli.sweep.suggest import Finished, suggest
from sdar_cli.sweep.unread import without_unread

FORMAT = 1
NAME = r"^[A-Za-z0-9][\w.-]{0,79}$"


class Pruner(BaseModel):
    """Which cells end early, by their mean over seeds at each evaluation while training."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["median", "halving", "hyperband"]
    startup: Annotated[int, Field(ge=1)] = 4
    """``median``: cells that come to their end before one is pruned."""
    after: Annotated[int, Field(ge=0)] = 0
    """Steps of training before a cell may be pruned."""
    reduction: Annotated[int, Field(ge=2)] = 3
    """``halving``, ``hyperband``: one cell in so many goes on at each rung."""


class StudySpec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = FORMAT
    name: Annotated[str, Field(pattern=NAME)]
    recipe: str
    """As typed: a shipped recipe's name, or a path."""
    layers: tuple[Layer, ...]
    """The files of the recipe, the overlays and the options, in order: a method that is an axis needs each file's
    ``methods:`` sections."""
    recipe_yaml: str
    """The recipe without the axes, resolved."""
    overlays: tuple[str, ...] = ()
    options: tuple[tuple[str, ...], ...] = ()
    """Options of the command line that changed the recipe, as typed: ``("--model", "path")``."""
    overrides: tuple[str, ...] = ()
    """``key=value`` of every run."""
    axes: tuple[Axis, ...]
    search: Literal["grid", "random", "tpe"]
    cells: Annotated[int, Field(ge=1)]
    settings: tuple[dict[str, Any], ...] | None
    """The cells in order, for a search that knows them in advance; None for tpe."""
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)]
    pruner: Pruner | None = None
    metric: Literal["success", "score"] = "success"
    """What cells are ranked by: the mean over seeds, without skills."""
    sampler_seed: Annotated[int, Field(ge=0)] = 0
    mlflow_parent: str | None = None
    """The MLflow run that stands for the study, above its runs."""
    tracking_uri: str = ""
    """The store of that run; the runs' own too."""
    note: str = ""
    folder: str = ""
    """Where the study was made: paths in its recipe are relative to it."""

    @property
    def total_cells(self) -> int:
        return self.cells

    @property
    def total_runs(self) -> int:
        return self.cells * len(self.seeds)

    def grid(self) -> tuple[dict[str, Any], ...]:
        """The settings that are known in advance, index = position; empty for tpe."""
        return self.settings or ()

    def suggest(self, index: int, finished: Sequence[Finished | tuple] = ()) -> dict[str, Any]:
        """The setting of a cell.

        Args:
            index: the cell's.
            finished: the cells so far, as (params, value, state, step); for tpe only. Those that still run belong
                to it: their settings are not tried again.
        """
        if self.settings is not None:
            return dict(self.settings[index])
        return suggest(
            self.axes,
            (self.sampler_seed, index),
            [Finished(*cell) for cell in finished],
            startup=max(3, min(10, self.cells // 3)),
            settle=self.settle,
        )

    def settle(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The params without those that nothing reads beside the others: no ``distill.coef`` with ``method=grpo``."""
        layers, over = self.run_layers(params)
        kept = {layer.origin for layer in without_unread(layers, over)[len(layers) :]}
        return {key: value for key, value in params.items() if axis_origin(key, value) in kept}

    def run_layers(self, params: Mapping[str, Any]) -> tuple[list[Layer], list[Layer]]:
        """The recipe's layers, and those of the overrides and the setting."""
        trust.check_settings([*map(parse_override, self.overrides), *params.items()], f"the study {self.name}")
        over = [layer_of(*parse_override(word), _origin(word)) for word in self.overrides]
        over += [layer_of(key, value, axis_origin(key, value)) for key, value in params.items()]
        return list(self.layers), over

    def run_recipe(self, params: Mapping[str, Any], seed: int, cell: int | None = None) -> ResolvedRecipe:
        """The recipe of one run.

        Args:
            params: the cell's, key as typed → value.
            seed: the run's.
            cell: the cell's index, for the tag ``sdar.cell``.

        Raises:
            RecipeError: the setting cannot work.
        """
        layers = without_unread(*self.run_layers(params))
        layers.append(layer_of("seed", seed, f"the study {self.name}"))
        layers.append(Layer({"tracking": self._tracking(layers, params, cell)}, f"the study {self.name}", typed=True))
        return resolve(layers, self.recipe)

    def _tracking(self, layers: Sequence[Layer], params: Mapping[str, Any], cell: int | None) -> dict[str, Any]:
        tags = {"sdar.study": self.name, "sdar.setting": self.label(params)}
        if cell is not None:
            tags["sdar.cell"] = f"{cell:03d}"
        values: dict[str, Any] = {"tags": tags}
        if not any(layer.sets("tracking.group") for layer in layers):
            values["group"] = self.name
        if self.mlflow_parent is not None:
            values["parent"] = self.mlflow_parent
        if self.tracking_uri:
            values["uri"] = self.tracking_uri
        return values

    def run_overrides(self, params: Mapping[str, Any], seed: int) -> list[str]:
        """What a person types behind ``sdar train --recipe …`` for a run alone."""
        layers, over = self.run_layers(params)
        kept = {layer.origin for layer in without_unread(layers, over)[len(layers) :]}
        words = [word for word in self.overrides if _origin(word) in kept and parse_override(word)[0] != "seed"]
        words += [f"{key}={as_yaml(value)}" for key, value in params.items() if axis_origin(key, value) in kept]
        return [*words, f"seed={seed}"]

    def run_command(self, params: Mapping[str, Any], seed: int) -> list[str]:
        """``sdar train`` for a run alone."""
        words = ["sdar", "train", "--recipe", self.recipe]
        words += [word for overlay in self.overlays for word in ("-c", overlay)]
        words += [word for option in self.options for word in option]
        return words + self.run_overrides(params, seed)

    def run_name(self, cell: int, seed: int) -> str:
        return f"{self.name}-c{cell:03d}-s{seed}"

    def label(self, params: Mapping[str, Any]) -> str:
        """``gate.temperature=0.1 method=sdar``, in the order of the axes."""
        if not self.axes:
            return "the recipe as it is"
        return " ".join(f"{axis.key}={as_yaml(params[axis.key])}" for axis in self.axes if axis.key in params)

    def differences(self, other: StudySpec) -> list[str]:
        """What makes it another study than ``other``, in words; empty where both ask for the same runs."""
        pairs = {
            "axes": (" ".join(map(str, self.axes)), " ".join(map(str, other.axes))),
            "overrides": (" ".join(sorted(self.overrides)), " ".join(sorted(other.overrides))),
            "search": (self.search, other.search),
            "cells": (self.cells, other.cells),
            "seeds": (_words(self.seeds), _words(other.seeds)),
            "prune": (_pruner(self.pruner), _pruner(other.pruner)),
            "metric": (self.metric, other.metric),
            "sampler seed": (self.sampler_seed, other.sampler_seed),
        }
        found = [f"{name} {mine or 'none'}, not {its or 'none'}" for name, (mine, its) in pairs.items() if mine != its]
        ours, theirs = ([layer.values for layer in spec.layers] for spec in (self, other))
        if ours != theirs:
            found.append("another recipe, or one that was edited since")
        return found


def axis_origin(key: str, value: Any) -> str:
    """What errors call the place that set a value of an axis."""
    return f"the axis {shown(f'{key}={as_yaml(value)}')}"


def _origin(word: str) -> str:
    """The same of an override."""
    return f"the override {shown(word)}"


def _words(values: Sequence[Any]) -> str:
    return ",".join(map(str, values))


def _pruner(pruner: Pruner | None) -> str:
    if pruner is None:
        return "none"
    return " ".join(f"{name}={value}" if name != "kind" else value for name, value in pruner.model_dump().items())
