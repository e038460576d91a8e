"""Whether a training fits a GPU, by how much, and which single setting to change where it does not."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from sdar_cli.errors import UserError
from sdar_cli.launch.dist import check_recipe
from sdar_cli.recipe.estimate import ONE, Processes, longest_row
from sdar_cli.recipe.gpus import Gpu
from sdar_cli.recipe.memory import Memory, memory, sequences_held
from sdar_cli.recipe.memory_case import recipe_shape
from sdar_cli.recipe.schema import Lora, Recipe

MARGIN = 0.05
"""Share of a GPU that is left free, for what the allocator cannot use."""
LEAST_TOKENS = 1024
LEAST_SEQUENCES = 16
"""Of a share of vLLM's that is proposed."""
SEVERAL = 8
"""Processes that the remedy for a model too large is tried with."""
ZERO3 = "pip install 'sdar[zero3]'"
"""What it needs beside the packages that every run needs."""
SHARES = (0.9, 0.8, 0.7, 0.6, 0.5, 0.45, 0.4, 0.35, 0.3, 0.25, 0.2, 0.15, 0.1)


@dataclass(frozen=True, slots=True)
class Fit:
    gpu: Gpu
    memory: Memory
    sequences: int | None
    """Longest sequences that fit into a colocated vLLM's cache; None: no such engine."""
    remedy: str = ""
    """What to change; empty where all fits."""

    @property
    def room(self) -> int:
        """Bytes that may be used."""
        return int((1 - MARGIN) * self.gpu.memory)

    @property
    def left(self) -> int:
        """Below 0: what is lacking."""
        return self.room - self.memory.peak

    @property
    def fits(self) -> bool:
        return self.left >= 0 and (self.sequences is None or self.sequences >= 1)


@dataclass(frozen=True, slots=True)
class Change:
    words: str
    section: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    processes: Processes | None = None
    least_sequences: int = 1

    def of(self, recipe: Recipe) -> Recipe:
        """A copy for arithmetic; it is not checked as a recipe."""
        if not self.section:
            return recipe
        changed = getattr(recipe, self.section).model_copy(update=self.values)
        return recipe.model_copy(update={self.section: changed})


def fit(recipe: Recipe, gpu: Gpu, processes: Processes = ONE) -> Fit | None:
    """None where the model's shape is not known."""
    found = _fit(recipe, gpu, processes)
    if found is None or found.fits:
        return found
    return Fit(gpu, found.memory, found.sequences, _remedy(recipe, gpu, processes))


def _fit(recipe: Recipe, gpu: Gpu, processes: Processes) -> Fit | None:
    held, shape = memory(recipe, processes, gpu), recipe_shape(recipe)
    if held is None or shape is None:
        return None
    colocated = recipe.engine.kind == "vllm" and recipe.engine.mode == "colocate"
    return Fit(gpu, held, sequences_held(recipe, shape, gpu) if colocated else None)


def _remedy(recipe: Recipe, gpu: Gpu, processes: Processes) -> str:
    """The first change that suffices; where none does, the first two that do together."""
    changes = list(_changes(recipe, processes))
    for number in (1, 2):
        for chosen in combinations(changes, number):
            if _suffice(chosen, recipe, gpu, processes):
                return " and ".join(change.words for change in chosen)
    return "take a GPU with more memory, or a smaller model: no two settings make room"


def _suffice(chosen: tuple[Change, ...], recipe: Recipe, gpu: Gpu, processes: Processes) -> bool:
    for change in chosen:
        recipe, processes = change.of(recipe), change.processes or processes
    try:
        check_recipe(processes.dist, recipe)
    except UserError:  # four bits, for one, cannot be divided
        return False
    found = _fit(recipe, gpu, processes)
    least = max(change.least_sequences for change in chosen)
    return found is not None and found.fits and (found.sequences is None or found.sequences >= least)


def _changes(recipe: Recipe, processes: Processes) -> Iterator[Change]:
    """What costs least first: time, then other machines, then another way to train."""
    if not recipe.model.gradient_checkpointing:
        yield Change("model.gradient_checkpointing=true", "model", {"gradient_checkpointing": True})
    tokens = recipe.optimiser.tokens_per_microbatch
    least = max(longest_row(recipe), LEAST_TOKENS)
    for smaller in (2 ** (math.ceil(math.log2(tokens)) - n) for n in range(1, 12)):
        if smaller >= least:
            key = f"optimiser.tokens_per_microbatch={smaller}"
            yield Change(key, "optimiser", {"tokens_per_microbatch": smaller})
    engine = recipe.engine
    if engine.kind == "hf":
        for batch in (256, 128, 64, 32, 16):
            if batch < engine.max_batch:
                yield Change(f"engine.max_batch={batch}", "engine", {"max_batch": batch})
    elif engine.mode == "colocate":
        for share in SHARES:
            if share != engine.gpu_memory:
                own = {"gpu_memory": share}
                yield Change(f"engine.gpu_memory={share:g}", "engine", own, least_sequences=LEAST_SEQUENCES)
    count = processes.count if processes.count > 1 else SEVERAL
    also = "" if processes.count > 1 else f"--nproc {count} "
    if processes.dist == "ddp":
        yield Change(f"{also}--dist fsdp2", processes=Processes(count, "fsdp2"))
    if processes.dist != "zero3":
        yield Change(f"{also}--dist zero3 ({ZERO3})", processes=Processes(count, "zero3"))
    if processes.dist != "ddp":
        yield Change("--dist ddp", processes=Processes(processes.count))  # without which there are no four bits
    if recipe.model.lora is None:
        yield Change("model.lora={}", "model", {"lora": Lora()})
        yield Change("model.lora.quantise=nf4", "model", {"lora": Lora(quantise="nf4")})
    elif recipe.model.lora.quantise is None:
        lora = recipe.model.lora.model_copy(update={"quantise": "nf4"})
        yield Change("model.lora.quantise=nf4", "model", {"lora": lora})
    if engine.kind == "vllm" and engine.mode == "colocate":
        yield Change("engine.mode=server with a vLLM on another GPU (docs/vllm.md)", "engine", {"mode": "server"})
