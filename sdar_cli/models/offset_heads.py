"""First-layer attention heads that begin by looking 1, 2, 3, … tokens back.

To read "you wash with the kettle" a model must know, at *kettle*, which word stood three tokens earlier.
Qwen3 has no biases and normalises queries and keys, so random weights find such position-only heads late:
in ``household`` (two layers of width 64, 700 updates of 32 examples) 63 % of the stations that the skills
name are read rightly without this start, all with it. One embedding dimension starts as a constant,
queries and keys of layer 0 read it, and rotary positions turn it into an offset. Nothing is frozen:
training may do with these heads what it likes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import Qwen3ForCausalLM

OFFSETS = 4
"""Head h looks (h mod 4) + 1 tokens back."""
PAIRS = 3
"""Rotary pairs that carry the offset, fastest first: together they tell neighbours apart."""
CONSTANT = 0.5
"""The constant embedding dimension."""
STRENGTH = 4.0
"""Size of the offset's components; the words' begin near 0.3."""
QUIET = 0.3
"""Factor on the random part of layer 0's queries and keys."""
SHARPNESS = 2.0
"""Initial weight of layer 0's query and key norms."""


def wire_offset_heads(model: Qwen3ForCausalLM) -> None:
    """Set layer 0's queries and keys, and embedding dimension 0, in place; draws no random numbers."""
    import torch

    config = model.config
    size = config.head_dim
    theta = config.rope_parameters["rope_theta"]
    attention = model.model.layers[0].self_attn
    with torch.no_grad():
        embeddings = model.get_input_embeddings().weight
        embeddings[:, 0] = CONSTANT
        scale = float(embeddings.square().mean().sqrt()) / CONSTANT
        for projection in (attention.q_proj, attention.k_proj):
            projection.weight.mul_(QUIET)
        for head in range(config.num_attention_heads):
            for pair in range(min(PAIRS, size // 2)):
                turn = (head % OFFSETS + 1) * theta ** (-2 * pair / size)
                real, imaginary = head * size + pair, head * size + pair + size // 2
                for projection, angle in ((attention.q_proj, -turn), (attention.k_proj, 0.0)):
                    projection.weight[real, 0] = STRENGTH * math.cos(angle) * scale
                    projection.weight[imaginary, 0] = STRENGTH * math.sin(angle) * scale
        attention.q_norm.weight.fill_(SHARPNESS)
        attention.k_norm.weight.fill_(SHARPNESS)
