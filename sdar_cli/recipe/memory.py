"""Memory of one training process on its device, part by part, and the phase of a step in which most is held.

Weights, gradients and AdamW's moments are float32 whatever ``model.dtype`` says: ``bfloat16`` is what the forward and
backward passes compute in (autocast). What a layer keeps for its backward pass was counted tensor by tensor
(tests/recipe/test_memory_saved.py holds the count to the real models).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from sdar_cli.objectives.settings import Settings
from sdar_cli.recipe.estimate import ONE, Part, Processes, longest_row
from sdar_cli.recipe.gpus import GIB, Gpu
from sdar_cli.recipe.schema import Recipe
from sdar_cli.recipe.shapes import Shape, model_shape

Phase = Literal["rollouts", "scoring", "updates"]
PHASES: tuple[Phase, ...] = ("rollouts", "scoring", "updates")
PASSES: tuple[Phase, ...] = ("scoring", "updates")

KEPT = 4
"""Bytes of a value of the weights, their gradients and the optimiser's state: float32."""
TILE_TOKENS, TILE_WORDS = 4096, 32_768
"""Of the logits that exist at once in TRL's log-probs."""
DIVERGENCE_TOKENS, DIVERGENCE_COPIES = 128, 8
"""Of full-vocabulary divergences: tokens at a time, and tensors (tokens, words) of float32 at the worst moment."""
CONTEXT = GIB
"""Of CUDA, NCCL and the libraries' workspaces, on a GPU."""
ENGINE = int(1.5 * GIB)
"""What vLLM takes of its share beside weights and cache: CUDA graphs, and activations of its largest batch."""


@dataclass(frozen=True, slots=True)
class MemoryPart(Part):
    when: tuple[Phase, ...] = PHASES

    @property
    def phases(self) -> str:
        return "always" if self.when == PHASES else ", ".join(self.when)


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
    return Memory(tuple(part for part in _Estimate(recipe, shape, processes, gpu).parts() if part is not None))


def recipe_shape(recipe: Recipe) -> Shape | None:
    """Of the model that a recipe trains, where it is known."""
    model = recipe.model
    if model.path is None and model.tiny is None:
        model = model.model_copy(update={"path": recipe.init_from})
    return model_shape(model)


def value_size(recipe: Recipe) -> int:
    """Bytes of a value that passes compute with."""
    return 4 if recipe.model.dtype == "float32" else 2


def layer_bytes(shape: Shape, size: int, row: int, lora_rank: int | None = None) -> int:
    """What a layer keeps of a token for the backward pass, its weights aside; two norms, attention (SDPA with a
    mask), a gated MLP.

    Args:
        size: bytes of a computed value. At 2, what a matrix reads is cast, and each of them keeps a copy.
        row: tokens that a token's mask is about.
        lora_rank: of adapters on all seven matrices, the weights under them frozen.
    """
    cast, frozen = size < KEPT, lora_rank is not None
    norms = 2 * KEPT * shape.width * (1 if frozen else 2) + 8  # frozen: what is scaled needs no gradient
    read = (5 * size if cast else 2 * KEPT) * shape.width
    attention = size * (4 * shape.inner + row) + 4 * shape.heads
    mlp = 4 * size * shape.mlp
    kept = norms + read + attention + mlp
    if shape.head_norms:
        kept += (KEPT if frozen else KEPT + size) * (shape.inner + shape.kv) + 4 * (shape.heads + shape.kv_heads)
    if frozen:
        kept += 7 * size * lora_rank
        if cast:
            kept += size * shape.inner  # attention's output, and its cast for the adapter
    return kept


class _Estimate:
    """One method a part; None where there is none."""

    def __init__(self, recipe: Recipe, shape: Shape, processes: Processes, gpu: Gpu | None) -> None:
        self.recipe, self.shape, self.processes, self.gpu = recipe, shape, processes, gpu
        self.size = value_size(recipe)
        self.lora = recipe.model.lora
        self.count = shape.parameters
        self.trained = shape.lora_parameters(self.lora.rank) if self.lora else self.count
        self.row = longest_row(recipe)
        budget = min(recipe.optimiser.tokens_per_microbatch, processes.rows(recipe) * self.row)
        self.tokens = max(budget, self.row)
        self.settings = Settings.at(recipe, 0)
        self.shared = f" / {processes.parts} processes" if processes.parts > 1 else ""

    def parts(self) -> list[MemoryPart | None]:
        return [
            *self._weights(),
            self._gradients(),
            self._part("optimiser", 2 * self._of_trained(), f"AdamW: 2 × {self._trained_words()}{self.shared}"),
            self._buckets(),
            self._reference(),
            *self._average(),
            self._casts(),
            *self._put_together(),
            *self._activations(),
            self._head(),
            self._divergence(),
            *self._generation(),
            self._context(),
        ]

    # -- weights ----------------------------------------------------------------------------------

    def _weights(self) -> list[MemoryPart | None]:
        words = f"{_m(self.count)} parameters × {KEPT} bytes{self.shared}"
        whole = self._part("weights", self.count * KEPT // self.processes.parts, words)
        if self.lora is None:
            return [whole]
        return [whole, self._part("adapter", self._of_trained(), f"{self._trained_words()}{self.shared}")]

    def _gradients(self) -> MemoryPart:
        """In parts only where an update is one micro-batch: until the last one they are summed before they are
        exchanged."""
        if self.processes.parts > 1 and self.processes.rows(self.recipe) * self.row > self.tokens:
            words = f"{self._trained_words()}, whole until an update's last micro-batch"
            return self._part("gradients", self.trained * KEPT, words, "updates")
        return self._part("gradients", self._of_trained(), f"{self._trained_words()}{self.shared}", "updates")

    def _buckets(self) -> MemoryPart | None:
        if self.processes.count == 1 or self.processes.dist != "ddp":
            return None
        return self._part("exchange of gradients", self.trained * KEPT, f"DDP's buckets: {self._trained_words()}")

    def _reference(self) -> MemoryPart | None:
        """A second model, unless switching an adapter off gives it."""
        frozen = self.recipe.needs_teacher and self.recipe.teacher.kind == "frozen"
        if self.lora is not None or not (self.recipe.policy.kl_coef > 0 or frozen):
            return None
        words = f"{_m(self.count)} parameters × {KEPT} bytes{self.shared}"
        return self._part("reference model", self.count * KEPT // self.processes.parts, words)

    def _average(self) -> list[MemoryPart]:
        if not (self.recipe.needs_teacher and self.recipe.teacher.kind == "ema"):
            return []
        amount = self.trained * KEPT
        return [
            self._part("average of the weights", amount, self._trained_words()),
            self._part("weights set aside", amount, "while the average stands in their place", "scoring"),
        ]

    def _casts(self) -> MemoryPart | None:
        """Autocast keeps the casts of weights that train for as long as a forward pass; those of frozen ones live as
        long as the graph that they are part of."""
        if self.size == KEPT:
            return None
        matrices = self.shape.layers * self.shape.linear
        when = PHASES if self.recipe.engine.kind == "hf" else PASSES
        if self.lora is None:
            words = f"autocast: {_m(matrices)} in matrices × {self.size} bytes, for a forward pass"
            return self._part("weights in bfloat16", matrices * self.size, words, *when)
        if self.recipe.model.gradient_checkpointing:
            words = f"autocast: a layer's {_m(self.shape.linear)} × {self.size} bytes"
            return self._part("weights in bfloat16", self.shape.linear * self.size, words, *when)
        words = f"autocast: {_m(matrices)} in matrices × {self.size} bytes, until the backward pass"
        return self._part("weights in bfloat16", matrices * self.size, words, "updates")

    def _put_together(self) -> list[MemoryPart]:
        if self.processes.parts == 1:
            return []
        several = 2 if self._reference() is not None else 1
        rest = self.shape.embeddings + self.shape.width
        layers = 2 * self.shape.layer + rest
        return [
            self._part(
                "whole weights",
                several * self.count * KEPT,
                f"{several} × {_m(self.count)} parameters × {KEPT} bytes, while episodes are played and scored",
                "rollouts",
                "scoring",
            ),
            self._part(
                "layers put together",
                (layers + self.shape.head) * KEPT,
                f"two layers, embeddings and the head: {_m(layers + self.shape.head)} × {KEPT} bytes",
                "updates",
            ),
        ]

    # -- passes -----------------------------------------------------------------------------------

    def _activations(self) -> list[MemoryPart]:
        shape, tokens = self.shape, self.tokens
        layer = layer_bytes(shape, self.size, self.row, self.lora.rank if self.lora else None)
        scoring = f"one layer: {tokens:,} tokens × {layer:,} bytes"
        out = [self._part("activations of a pass", tokens * layer, scoring, "scoring")]
        if self.recipe.model.gradient_checkpointing:
            # Each layer's input stays, and the residual stream is the embeddings' float32.
            amount = tokens * (shape.layers * shape.width * KEPT + layer)
            words = f"{tokens:,} tokens × ({shape.layers} layers × {shape.width} × {KEPT} bytes + a layer's {layer:,})"
        else:
            amount = tokens * shape.layers * layer
            words = f"{tokens:,} tokens × {shape.layers} layers × {layer:,} bytes"
        return [*out, self._part("activations", amount, words, "updates")]

    def _scored(self) -> int:
        """Tokens of a micro-batch that the head is run on: behind the prompt, where the row has one."""
        rollout = self.recipe.rollout
        if rollout.context == "full":
            return self.tokens
        return math.ceil(self.tokens * rollout.max_response_tokens / self.row)

    def _head(self) -> MemoryPart:
        """TRL's log-probs: logits in tiles, twice the hidden states and their gradient, the head's own gradient."""
        shape, tokens = self.shape, self._scored()
        tile = min(tokens, TILE_TOKENS) * min(shape.vocabulary, TILE_WORDS) * self.size
        states = 3 * tokens * shape.width * KEPT
        words = f"a tile of {min(tokens, TILE_TOKENS):,} × {min(shape.vocabulary, TILE_WORDS):,} logits"
        amount = tile + states
        if self.lora is None:
            twice = 2 if shape.tied else 1
            amount += twice * shape.head * KEPT
            words += f" + the head's gradient, {twice} × {_m(shape.head)} × {KEPT} bytes"
        return self._part("log-probs", amount, words, "updates")

    def _divergence(self) -> MemoryPart | None:
        if self.settings.divergence == "sampled" or not self.recipe.needs_teacher:
            return None
        words = f"{DIVERGENCE_COPIES} × {DIVERGENCE_TOKENS} tokens × {self.shape.vocabulary:,} words × 4 bytes"
        logits = DIVERGENCE_COPIES * DIVERGENCE_TOKENS * self.shape.vocabulary * 4
        states = 2 * self.tokens * self.shape.width * KEPT
        return self._part("divergence", logits + states, f"{words} + both models' hidden states", "updates")

    # -- generation -------------------------------------------------------------------------------

    def _generation(self) -> list[MemoryPart]:
        engine, rollout = self.recipe.engine, self.recipe.rollout
        if engine.kind == "vllm" and engine.mode == "server":
            return [self._part("generation (vLLM)", 0, "on its own server")]
        if engine.kind == "vllm":
            share = f"engine.gpu_memory: {engine.gpu_memory:.0%} of the GPU"
            if self.gpu is None:
                return [self._part("generation (vLLM)", 0, f"{share}, not added: give --gpu")]
            return [self._part("generation (vLLM)", int(engine.gpu_memory * self.gpu.memory), share)]
        batch = min(engine.max_batch, self.processes.groups(self.recipe) * rollout.group)
        a_token = self.shape.cache(self.size, exact=True)
        reading = batch * rollout.max_prompt_tokens * self.size * (3 * self.shape.mlp + 2 * self.shape.inner)
        return [
            self._part(
                "cache of keys and values",
                batch * self.row * a_token,
                f"{batch} prompts × {self.row:,} tokens × {a_token:,} bytes",
                "rollouts",
            ),
            self._part(
                "reading prompts",
                reading + batch * self.shape.vocabulary * 12,
                f"{batch} prompts × {rollout.max_prompt_tokens:,} tokens × one layer's MLP and attention",
                "rollouts",
            ),
        ]

    def _context(self) -> MemoryPart | None:
        if self.gpu is None:
            return None
        return self._part("CUDA and libraries", CONTEXT, "assumed")

    # -- words ------------------------------------------------------------------------------------

    def _part(self, name: str, amount: int, formula: str, *when: Phase) -> MemoryPart:
        return MemoryPart(name, amount, formula, when or PHASES)

    def _of_trained(self) -> int:
        return self.trained * KEPT // self.processes.parts

    def _trained_words(self) -> str:
        return f"{_m(self.trained)} trained × {KEPT} bytes"


def sequences_held(recipe: Recipe, shape: Shape, gpu: Gpu) -> int:
    """Longest sequences whose keys and values fit into vLLM's share at once; below 0 where not even its weights do."""
    size = value_size(recipe)
    room = recipe.engine.gpu_memory * gpu.memory - shape.parameters * size - ENGINE
    return math.floor(room / (longest_row(recipe) * shape.cache(size)))


def _m(count: int) -> str:
    return f"{count / 1e6:,.1f} M" if count >= 1e6 else f"{count:,}"
