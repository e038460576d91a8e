"""Memory of one training process on its device, part by part, and the phase of a step in which most is held.

Weights, gradients and AdamW's moments are float32 whatever ``model.dtype`` says: ``bfloat16`` is what the forward and
backward passes compute in (autocast), but for DeepSpeed, which holds weights in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from sdar_cli.recipe import memory_passes, memory_weights
from sdar_cli.recipe.estimate import ONE, Processes, longest_row
from sdar_cli.recipe.gpus import GIB, Gpu
from sdar_cli.recipe.memory_case import PHASES, Case, MemoryPart, Phase, recipe_shape, value_size
from sdar_cli.recipe.schema import Recipe
from sdar_cli.recipe.shapes import Shape

ENGINE = int(1.5 * GIB)
"""What vLLM takes of its share beside weights and cache: CUDA graphs, and activations of its largest batch."""


@dataclass(frozen=True, slots=True)
class Memory:
    parts: tuple[MemoryPart, ...]

    def held(self, phase: Phase) -> int:
        return sum(part.amount for part in self.parts if phase in part.when)

    @property
    def phase(self) -> Phase:
        """In which most is held."""
        return max(PHASES, key=self.held)

    @property
    def peak(self) -> int:
        return self.held(self.phase)


def memory(recipe: Recipe, processes: Processes = ONE, gpu: Gpu | None = None) -> Memory | None:
    """The estimate, or None when the model's shape is not known.

    Args:
        gpu: the device; without one, what depends on its size is left out.
    """
    shape = recipe_shape(recipe)
    if shape is None:
        return None
    case = Case(recipe, shape, processes, gpu)
    parts = (
        *memory_weights.weights(case),
        memory_weights.gradients(case),
        memory_weights.optimiser(case),
        memory_weights.buckets(case),
        memory_weights.reference(case),
        *memory_weights.average(case),
        memory_weights.casts(case),
        *memory_weights.put_together(case),
        *memory_passes.activations(case),
        memory_passes.head(case),
        memory_passes.divergence(case),
        *memory_passes.generation(case),
        memory_passes.context(case),
    )
    return Memory(tuple(part for part in parts if part is not None))


def sequences_held(recipe: Recipe, shape: Shape, gpu: Gpu) -> int:
    """Longest sequences whose keys and values fit into vLLM's share at once; below 0 where not even its weights do."""
    size = value_size(recipe)
    room = recipe.engine.gpu_memory * gpu.memory - shape.parameters * size - ENGINE
    return math.floor(room / (longest_row(recipe) * shape.cache(size)))
