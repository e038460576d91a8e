"""Memory of what is computed: activations, log-probs, generation.

What a layer keeps for its backward pass was counted tensor by tensor (tests/recipe/test_memory_counted.py holds the
formula to real models).
"""

from __future__ import annotations

import math

from sdar_cli.recipe.gpus import GIB
from sdar_cli.recipe.memory_case import KEPT, Case, MemoryPart, millions, part
from sdar_cli.recipe.shapes import Shape

TILE_TOKENS, TILE_WORDS = 4096, 32_768
"""Of the logits that exist at once in TRL's log-probs."""
DIVERGENCE_TOKENS, DIVERGENCE_COPIES = 128, 8
"""Of full-vocabulary divergences: tokens at a time, and tensors (tokens, words) of float32 at the worst moment."""
CONTEXT = GIB
"""Of CUDA, NCCL and the libraries' workspaces, on a GPU."""


def layer_bytes(shape: Shape, size: int, lora_rank: int | None = None) -> int:
    """What a layer keeps of a token for the backward pass, its weights aside; two norms, attention (SDPA without a
    mask, as updates run it), a gated MLP.

    Args:
        size: bytes of a computed value. At 2, what a matrix reads is cast, and each of them keeps a copy.
        lora_rank: of adapters on all seven matrices, the weights under them frozen.
    """
    cast, frozen = size < KEPT, lora_rank is not None
    norms = 2 * KEPT * shape.width * (1 if frozen else 2) + 8  # frozen: what is scaled needs no gradient
    read = (5 * size if cast else 2 * KEPT) * shape.width
    attention = size * (2 * shape.inner + 2 * shape.kv) + 4 * shape.heads
    mlp = 4 * size * shape.mlp
    kept = norms + read + attention + mlp
    if shape.head_norms:
        kept += (KEPT if frozen else KEPT + size) * (shape.inner + shape.kv) + 4 * (shape.heads + shape.kv_heads)
    if frozen:
        kept += 7 * size * lora_rank
        if cast:
            kept += size * shape.inner  # attention's output, and its cast for the adapter
    return kept


def backward_bytes(shape: Shape, size: int) -> int:
    """What a layer's backward pass holds of a token beside what was kept: gradients of the MLP's two inner values, and
    of the residual stream."""
    return 2 * size * shape.mlp + 2 * KEPT * shape.width


def activations(case: Case) -> list[MemoryPart]:
    shape, tokens = case.shape, case.tokens
    layer = layer_bytes(shape, case.size, case.lora.rank if case.lora else None)
    # Scoring has a mask, for which keys and values are repeated, and keeps those of the prompts' beginnings.
    masked = layer + case.size * (case.row + 2 * (shape.inner - shape.kv))
    stored = shape.layers * shape.kv * (KEPT + case.size)
    out = [
        part("a pass", tokens * masked, f"one layer: {tokens:,} tokens × {masked:,} bytes", "scoring"),
        part(
            "beginnings of prompts",
            tokens * stored,
            f"their keys and values: {tokens:,} tokens × {stored:,} bytes",
            "scoring",
        ),
    ]
    back = backward_bytes(shape, case.size)
    if case.recipe.model.gradient_checkpointing:
        # Each layer's input stays, and the residual stream is the embeddings' float32.
        a_token = shape.layers * shape.width * KEPT + layer + back
        words = f"{shape.layers} layers × {shape.width} × {KEPT} bytes + a layer's {layer:,} + its gradients' {back:,}"
    else:
        a_token = shape.layers * layer + back
        words = f"{shape.layers} layers × {layer:,} bytes + a layer's gradients, {back:,}"
    return [*out, part("activations", tokens * a_token, f"{tokens:,} tokens × ({words})", "updates")]


def scored(case: Case) -> int:
    """Tokens of a micro-batch that the head is run on: the policy's own."""
    rollout = case.recipe.rollout
    turns = rollout.max_turns if rollout.context == "full" else 1
    return min(case.tokens, math.ceil(case.tokens * turns * rollout.max_response_tokens / case.row))


def head(case: Case) -> MemoryPart:
    """TRL's log-probs: logits in tiles, twice the hidden states and their gradient, the head's own gradient."""
    shape, tokens = case.shape, scored(case)
    tile = min(tokens, TILE_TOKENS) * min(shape.vocabulary, TILE_WORDS) * case.size
    states = 3 * tokens * shape.width * KEPT
    words = f"a tile of {min(tokens, TILE_TOKENS):,} × {min(shape.vocabulary, TILE_WORDS):,} logits"
    amount = tile + states
    if case.lora is None:
        twice = 2 if shape.tied else 1
        amount += twice * shape.head * KEPT
        words += f" + the head's gradient, {twice} × {millions(shape.head)} × {KEPT} bytes"
    return part("log-probs", amount, words, "updates")


def divergence(case: Case) -> MemoryPart | None:
    if case.settings.divergence == "sampled" or not case.recipe.needs_teacher:
        return None
    words = f"{DIVERGENCE_COPIES} × {DIVERGENCE_TOKENS} tokens × {case.shape.vocabulary:,} words × 4 bytes"
    logits = DIVERGENCE_COPIES * DIVERGENCE_TOKENS * case.shape.vocabulary * 4
    states = 2 * case.tokens * case.shape.width * KEPT
    return part("divergence", logits + states, f"{words} + both models' hidden states", "updates")


def generation(case: Case) -> list[MemoryPart]:
    engine, rollout = case.recipe.engine, case.recipe.rollout
    if engine.kind == "vllm" and engine.mode == "server":
        return [part("generation (vLLM)", 0, "on its own server")]
    if engine.kind == "vllm":
        share = f"engine.gpu_memory: {engine.gpu_memory:.0%} of the GPU"
        if case.gpu is None:
            return [part("generation (vLLM)", 0, f"{share}, not added: give --gpu")]
        return [part("generation (vLLM)", int(engine.gpu_memory * case.gpu.memory), share)]
    batch = min(engine.max_batch, case.processes.groups(case.recipe) * rollout.group)
    a_token = case.shape.cache(KEPT)  # weights in float32 leave them so, autocast or not
    reading = batch * rollout.max_prompt_tokens * case.size * (3 * case.shape.mlp + 2 * case.shape.inner)
    return [
        part(
            "cache of keys and values",
            batch * case.row * a_token,
            f"{batch} prompts × {case.row:,} tokens × {a_token:,} bytes",
            "rollouts",
        ),
        part(
            "reading prompts",
            reading + batch * case.shape.vocabulary * 12,
            f"{batch} prompts × {rollout.max_prompt_tokens:,} tokens × one layer's MLP and attention",
            "rollouts",
        ),
    ]


def context(case: Case) -> MemoryPart | None:
    if case.gpu is None:
        return None
    return part("CUDA and libraries", CONTEXT, "assumed")
