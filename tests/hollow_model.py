"""A complete model folder made by hand, without torch: a Qwen3 of one layer whose weights are all nought."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

WORDS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<unk>", "user", "assistant", "look", "<action>", "</action>")
END = WORDS.index("<|im_end|>")
CONFIG: dict[str, Any] = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "hidden_size": 4,
    "intermediate_size": 6,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 2,
    "vocab_size": len(WORDS),
    "max_position_embeddings": 256,
    "tie_word_embeddings": True,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "attention_bias": False,
    "dtype": "float32",
    "eos_token_id": END,
}
GENERATION: dict[str, Any] = {"eos_token_id": [END, 0], "pad_token_id": 0, "do_sample": True, "temperature": 0.6}
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TOKENIZER_CONFIG: dict[str, Any] = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "eos_token": "<|im_end|>",
    "pad_token": "<|endoftext|>",
    "unk_token": "<unk>",
    "model_max_length": 1000000000000000019884624838656,
    "chat_template": TEMPLATE,
}
SHAPES: dict[str, tuple[int, ...]] = {
    "model.embed_tokens.weight": (len(WORDS), 4),
    "model.layers.0.input_layernorm.weight": (4,),
    "model.layers.0.mlp.down_proj.weight": (4, 6),
    "model.layers.0.mlp.gate_proj.weight": (6, 4),
    "model.layers.0.mlp.up_proj.weight": (6, 4),
    "model.layers.0.post_attention_layernorm.weight": (4,),
    "model.layers.0.self_attn.k_norm.weight": (2,),
    "model.layers.0.self_attn.k_proj.weight": (2, 4),
    "model.layers.0.self_attn.o_proj.weight": (4, 4),
    "model.layers.0.self_attn.q_norm.weight": (2,),
    "model.layers.0.self_attn.q_proj.weight": (4, 4),
    "model.layers.0.self_attn.v_proj.weight": (2, 4),
    "model.norm.weight": (4,),
}
ADAPTER: dict[str, Any] = {
    "peft_type": "LORA",
    "task_type": "CAUSAL_LM",
    "r": 2,
    "lora_alpha": 4,
    "lora_dropout": 0.0,
    "target_modules": ["q_proj"],
    "bias": "none",
    "inference_mode": True,
}
_LORA = "base_model.model.model.layers.0.self_attn.q_proj.lora"
ADAPTER_SHAPES = {f"{_LORA}_A.weight": (2, 4), f"{_LORA}_B.weight": (4, 2)}


def header_of(shapes: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    header, at = {}, 0
    for name, shape in shapes.items():
        size = 4 * prod(shape)
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    return header


def safetensors(header: Mapping[str, Any] | str, room: int | None = None) -> bytes:
    """A file of noughts; ``room``: bytes of weights, where they are not those of the header."""
    text = (header if isinstance(header, str) else json.dumps(header)).encode()
    if room is None:
        assert not isinstance(header, str)
        room = max((entry["data_offsets"][1] for entry in header.values()), default=0)
    return len(text).to_bytes(8, "little") + text + bytes(room)


def tokenizer(words: Sequence[str] = WORDS) -> dict[str, Any]:
    added = [
        {"id": place, "content": word, "special": True, "single_word": False, "lstrip": False, "rstrip": False}
        | {"normalized": False}
        for place, word in enumerate(words[:4])
    ]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": {word: n for n, word in enumerate(words)}, "unk_token": "<unk>"},
    }


def write(folder: Path, **changes: Any) -> Path:
    """The folder's files; ``changes``: ``config``, ``generation``, ``tokenizer_config`` in the place of these."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", changes.get("config", CONFIG))
    write_json(folder / "generation_config.json", changes.get("generation", GENERATION))
    write_json(folder / "tokenizer_config.json", changes.get("tokenizer_config", TOKENIZER_CONFIG))
    write_json(folder / "tokenizer.json", tokenizer())
    (folder / "model.safetensors").write_bytes(safetensors(header_of(changes.get("shapes", SHAPES))))
    return folder


def write_adapter(folder: Path, base: Path | str, **changes: Any) -> Path:
    """An adapter over the base, with the tokenizer; ``changes`` are of its configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "adapter_config.json", ADAPTER | {"base_model_name_or_path": str(base)} | changes)
    write_json(folder / "tokenizer_config.json", TOKENIZER_CONFIG)
    write_json(folder / "tokenizer.json", tokenizer())
    (folder / "adapter_model.safetensors").write_bytes(safetensors(header_of(ADAPTER_SHAPES)))
    return folder


def write_sharded(folder: Path) -> Path:
    """The folder's weights in two files and an index."""
    write(folder)
    (folder / "model.safetensors").unlink()
    names = list(SHAPES)
    shards = {"model-00001-of-00002.safetensors": names[:6], "model-00002-of-00002.safetensors": names[6:]}
    for shard, own in shards.items():
        (folder / shard).write_bytes(safetensors(header_of({name: SHAPES[name] for name in own})))
    places = {name: shard for shard, own in shards.items() for name in own}
    write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": 1}, "weight_map": places})
    return folder


def write_json(path: Path, value: Any) -> None:
    path.write_text(value if isinstance(value, str) else json.dumps(value, indent=2), encoding="utf-8")
