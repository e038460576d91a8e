"""Upper bounds of a step's tokens and an estimate of its memory, each with the formula it comes from."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sdar_cli.recipe.schema import Recipe
from sdar_cli.recipe.shapes import Shape, model_shape

KEPT = 4
"""Bytes of a value of the weights, their gradients and the optimiser's state: float32."""


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    amount: int
    """Tokens, rows or bytes."""
    formula: str


def tokens_per_step(recipe: Recipe) -> list[Part]:
    """The most that one step can take; episodes that end early take less."""
    rollout = recipe.rollout
    episodes = rollout.tasks * rollout.group
    windowed = rollout.context == "window"
    rows = episodes * rollout.max_turns if windowed else episodes
    per_row = rollout.max_prompt_tokens + rollout.max_response_tokens
    generated = episodes * rollout.max_turns * rollout.max_response_tokens
    per_update = recipe.optimiser.rows_per_update or rows
    turns = f" × {rollout.max_turns} turns" if windowed else ""
    parts = [
        Part("episodes", episodes, f"{rollout.tasks} tasks × {rollout.group} a group"),
        Part("rows", rows, f"{episodes} episodes{turns}"),
        Part(
            "generated tokens",
            generated,
            f"{episodes} episodes × {rollout.max_turns} turns × {rollout.max_response_tokens} tokens",
        ),
        Part(
            "trained tokens",
            rows * per_row,
            f"{rows} rows × ({rollout.max_prompt_tokens} prompt + {rollout.max_response_tokens} response)",
        ),
        Part("optimiser updates", math.ceil(rows / per_update), f"⌈{rows} rows / {per_update} rows an update⌉"),
    ]
    if recipe.needs_teacher:
        parts.insert(4, Part("teacher tokens", rows * per_row, "the trained rows once more, their skills not counted"))
    return parts


def memory(recipe: Recipe) -> list[Part] | None:
    """Bytes of a training process on one device, or None when the model's shape is not known.

    Weights are kept in float32 whatever ``model.dtype`` says, and so are gradients and AdamW's moments:
    ``bfloat16`` is what the forward and backward passes compute in (autocast).
    """
    model = recipe.model
    if model.path is None and model.tiny is None:
        model = model.model_copy(update={"path": recipe.init_from})
    shape = model_shape(model)
    if shape is None:
        return None
    size = 4 if recipe.model.dtype == "float32" else 2
    count = shape.parameters
    lora = recipe.model.lora
    trained = shape.lora_parameters(lora.rank) if lora else count
    parts = [
        Part("weights", count * KEPT, f"{count / 1e6:,.1f} M parameters × {KEPT} bytes"),
        Part("gradients", trained * KEPT, f"{trained / 1e6:,.1f} M trained × {KEPT} bytes"),
        Part("optimiser", 2 * trained * KEPT, f"AdamW: 2 × {trained / 1e6:,.1f} M × {KEPT} bytes"),
    ]
    if size < KEPT:
        words = f"autocast: {trained / 1e6:,.1f} M trained × {size} bytes, during a forward pass"
        parts.append(Part("weights in bfloat16", trained * size, words))
    needs_reference = recipe.policy.kl_coef > 0 or (recipe.needs_teacher and recipe.teacher.kind == "frozen")
    if needs_reference and lora is None:
        parts.append(Part("reference model", count * KEPT, f"{count / 1e6:,.1f} M parameters × {KEPT} bytes"))
    if recipe.needs_teacher and recipe.teacher.kind == "ema":
        parts.append(Part("average of the weights", trained * 4, f"{trained / 1e6:,.1f} M trained × 4 bytes"))
    return [
        *parts,
        _activations(recipe, shape, size),
        _logits(recipe, shape),
        _generation(recipe, shape, size),
    ]


def _activations(recipe: Recipe, shape: Shape, size: int) -> Part:
    """34·tokens·width bytes a layer at two bytes a value, scores aside (Korthikanti et al. 2022)."""
    tokens = recipe.optimiser.tokens_per_microbatch
    layer = 17 * size * tokens * shape.width
    if recipe.model.gradient_checkpointing:
        kept = shape.layers * tokens * shape.width * KEPT  # the residual stream is the embeddings' float32
        words = f"{shape.layers} layers × {tokens} tokens × {shape.width} × {KEPT} bytes + one layer in full"
        return Part("activations", kept + layer, words)
    words = f"{shape.layers} layers × 17 × {size} bytes × {tokens} tokens × {shape.width}"
    return Part("activations", shape.layers * layer, words)


def _logits(recipe: Recipe, shape: Shape) -> Part:
    rollout = recipe.rollout
    response = rollout.max_response_tokens / (rollout.max_prompt_tokens + rollout.max_response_tokens)
    tokens = math.ceil(recipe.optimiser.tokens_per_microbatch * response)
    words = f"2 × {tokens} response tokens × {shape.vocabulary} words × 4 bytes"
    return Part("logits and their gradient", 2 * tokens * shape.vocabulary * 4, words)


def _generation(recipe: Recipe, shape: Shape, size: int) -> Part:
    rollout, engine = recipe.rollout, recipe.engine
    if engine.kind == "vllm":
        where = "on its own server" if engine.mode == "server" else f"{engine.gpu_memory:.0%} of the GPU, not added"
        return Part("generation (vLLM)", 0, where)
    batch = min(engine.max_batch, rollout.tasks * rollout.group)
    length = rollout.max_prompt_tokens + rollout.max_response_tokens
    per_token = 2 * shape.layers * shape.kv_heads * shape.head_dim * size
    words = f"KV cache: {batch} prompts × {length} tokens × {per_token} bytes"
    return Part("generation", batch * length * per_token, words)
