"""Models of published shapes with random weights, as Hugging Face folders."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

from sdar_cli.models.word_tokenizer import build_tokenizer

WORDS = [f"word{letter}{other}" for letter in "abcdefghijklmnop" for other in "abcdefghijklmnop"]


@dataclass(frozen=True, slots=True)
class Model:
    recipe: str
    overrides: tuple[str, ...]
    config: type
    network: type
    numbers: Mapping[str, Any]
    lora: bool = False


MODELS = {
    "qwen3-1.7b": Model(
        "alfworld-qwen3-1.7b",
        (),
        Qwen3Config,
        Qwen3ForCausalLM,
        {
            "hidden_size": 2048,
            "intermediate_size": 6144,
            "num_hidden_layers": 28,
            "num_attention_heads": 16,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "vocab_size": 151_936,
            "tie_word_embeddings": True,
        },
    ),
    "qwen2.5-7b": Model(
        "alfworld-qwen2.5-7b",
        ("model.lora.rank=32",),
        Qwen2Config,
        Qwen2ForCausalLM,
        {
            "hidden_size": 3584,
            "intermediate_size": 18_944,
            "num_hidden_layers": 28,
            "num_attention_heads": 28,
            "num_key_value_heads": 4,
            "vocab_size": 152_064,
            "tie_word_embeddings": False,
        },
        lora=True,
    ),
    "tiny": Model(
        "alfworld-qwen3-1.7b",
        ("model.dtype=float32", "rollout.max_prompt_tokens=512", "engine.gpu_memory=0.1"),
        Qwen3Config,
        Qwen3ForCausalLM,
        {
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "head_dim": 32,
            "vocab_size": 512,
            "tie_word_embeddings": True,
        },
    ),
}


def write(model: Model, folder: Path, device: torch.device) -> None:
    """Random bfloat16 weights with a small word tokenizer, which knows fewer tokens than the model has."""
    tokenizer = build_tokenizer(WORDS)
    ends = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id, "bos_token_id": None}
    positions = {"max_position_embeddings": 32_768, "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}}
    torch.manual_seed(0)
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with device:
            network = model.network(model.config(**model.numbers, **positions, **ends, dtype="bfloat16"))
    finally:
        torch.set_default_dtype(default)
    network.generation_config.eos_token_id = tokenizer.eos_token_id
    network.generation_config.pad_token_id = tokenizer.pad_token_id
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    assert json.loads((folder / "config.json").read_text())["vocab_size"] == model.numbers["vocab_size"]
