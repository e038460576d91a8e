"""What the parts of an estimate of memory are about: a recipe's model, its processes, a GPU."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from sdar_cli.objectives.settings import Settings
from sdar_cli.recipe.estimate import Part, Processes, longest_row
from sdar_cli.recipe.gpus import Gpu
from sdar_cli.recipe.schema import Recipe
from sdar_cli.recipe.shapes import Shape, model_shape

Phase = Literal["rollouts", "scoring", "updates"]
PHASES: tuple[Phase, ...] = ("rollouts", "scoring", "updates")
PASSES: tuple[Phase, ...] = ("scoring", "updates")

KEPT = 4
"""Bytes of a value of the weights, their gradients and the optimiser's state: float32."""
NF4 = 0.516
"""Bytes of a weight in four bits, its scales quantised in turn (Dettmers et al. 2023, arXiv:2305.14314)."""


@dataclass(frozen=True, slots=True)
class MemoryPart(Part):
    when: tuple[Phase, ...] = PHASES

    @property
    def phases(self) -> str:
        return "always" if self.when == PHASES else ", ".join(self.when)


def part(name: str, amount: int, formula: str, *when: Phase) -> MemoryPart:
    """Held in these phases of a step, by default in all."""
    return MemoryPart(name, amount, formula, when or PHASES)


class Case:
    """One process of a training, and the sizes that its parts share."""

    def __init__(self, recipe: Recipe, shape: Shape, processes: Processes, gpu: Gpu | None) -> None:
        self.recipe, self.shape, self.processes, self.gpu = recipe, shape, processes, gpu
        self.size = value_size(recipe)
        self.lora = recipe.model.lora
        self.count = shape.parameters
        self.trained = shape.lora_parameters(self.lora) if self.lora else self.count
        self.row = longest_row(recipe)
        budget = min(recipe.optimiser.tokens_per_microbatch, processes.rows(recipe) * self.row)
        self.tokens = max(budget, self.row)
        """Of a micro-batch."""
        self.settings = Settings.at(recipe, 0)
        self.deepspeed = processes.dist == "zero3" and processes.count > 1
        self.shared = f" / {processes.parts} processes" if processes.parts > 1 else ""

    @cached_property
    def of_trained(self) -> int:
        """Bytes of a float32 for each weight that trains, on one process."""
        return self.trained * KEPT // self.processes.parts

    @property
    def trained_words(self) -> str:
        return f"{millions(self.trained)} trained × {KEPT} bytes"

    @property
    def whole(self) -> tuple[int, str]:
        """Bytes of all weights but an adapter's, undivided, and the formula."""
        if self.lora is not None and self.lora.quantise is not None:
            matrices = self.shape.layers * self.shape.linear
            rest = self.count - matrices
            words = f"{millions(matrices)} in four bits × {NF4} bytes + {millions(rest)} others × {KEPT} bytes"
            return int(matrices * NF4) + rest * KEPT, words
        size = self.size if self.deepspeed else KEPT
        return self.count * size, f"{millions(self.count)} parameters × {size} bytes"


def recipe_shape(recipe: Recipe) -> Shape | None:
    """Of the model that a recipe trains, where it is known."""
    model = recipe.model
    if model.path is None and model.tiny is None:
        model = model.model_copy(update={"path": recipe.init_from})
    return model_shape(model)


def value_size(recipe: Recipe) -> int:
    """Bytes of a value that passes compute with."""
    return 4 if recipe.model.dtype == "float32" else 2


def millions(count: int) -> str:
    return f"{count / 1e6:,.1f} M" if count >= 1e6 else f"{count:,}"
