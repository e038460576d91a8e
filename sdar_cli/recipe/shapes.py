"""Shapes of models, and what follows from them: parameters, without loading a weight."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdar_cli.models.adapter_folder import ADAPTER
from sdar_cli.models.folder import CONFIG, INDEX, WHOLE, check_folder
from sdar_cli.models.settings_files import config_of
from sdar_cli.paths import is_file, is_folder, user_path
from sdar_cli.recipe.schema import Lora, Model, TinyModel

TINY_VOCABULARY = 512
"""Assumed size of a word tokenizer's vocabulary, which is known only once it is built."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A decoder with gated MLPs and grouped-query attention (Llama, Qwen2, Qwen3)."""

    layers: int
    width: int
    heads: int
    kv_heads: int
    head_dim: int
    mlp: int
    vocabulary: int
    tied: bool
    source: str
    """Where the numbers come from, for display."""
    head_norms: bool = False
    """Whether queries and keys are normalised (Qwen3)."""
    biases: int = 0
    """Biases of a layer's projections."""

    @property
    def inner(self) -> int:
        """Width of all query heads."""
        return self.heads * self.head_dim

    @property
    def kv(self) -> int:
        """Width of all key heads."""
        return self.kv_heads * self.head_dim

    @property
    def matrices(self) -> dict[str, tuple[int, int]]:
        """Of a layer: what each reads and writes."""
        return {
            "q_proj": (self.width, self.inner),
            "k_proj": (self.width, self.kv),
            "v_proj": (self.width, self.kv),
            "o_proj": (self.inner, self.width),
            "gate_proj": (self.width, self.mlp),
            "up_proj": (self.width, self.mlp),
            "down_proj": (self.mlp, self.width),
        }

    @property
    def linear(self) -> int:
        """Weights of a layer's matrices."""
        return sum(read * written for read, written in self.matrices.values())

    @property
    def layer(self) -> int:
        """Weights of a layer, norms and biases included."""
        return self.linear + 2 * self.width + (2 * self.head_dim if self.head_norms else 0) + self.biases

    @property
    def head(self) -> int:
        return self.vocabulary * self.width

    @property
    def embeddings(self) -> int:
        return self.head * (1 if self.tied else 2)

    @property
    def parameters(self) -> int:
        return self.layers * self.layer + self.embeddings + self.width

    def lora_parameters(self, lora: Lora) -> int:
        """Adapter weights; a target that is none of the layers' matrices counts for nothing."""
        every = lora.targets == "all-linear"
        chosen = [size for name, size in self.matrices.items() if every or name in lora.targets]
        return self.layers * sum(
            lora.rank * (read + written) + (written if lora.dora else 0) for read, written in chosen
        )

    def cache(self, size: int) -> int:
        """Bytes that a token's keys and values take, ``size`` a value."""
        return 2 * self.layers * self.kv * size


KNOWN = {
    "qwen3-1.7b": ("qwen3", 28, 2048, 16, 8, 128, 6144, 151_936, True),
    "qwen2.5-3b": ("qwen2", 36, 2048, 16, 2, 128, 11_008, 151_936, True),
    "qwen2.5-7b": ("qwen2", 28, 3584, 28, 4, 128, 18_944, 152_064, False),
}
"""Published ``config.json`` values: type, layers, width, heads, KV heads, head size, MLP, vocabulary, tied."""


def model_shape(model: Model) -> Shape | None:
    """The shape from ``model.tiny``, a ``config.json`` (of a local folder, or in the hub's cache) or the table; None
    when unknown, as of a mixture of experts.

    Raises:
        ModelError: the folder is there, and is damaged.
    """
    if model.tiny is not None:
        return _tiny(model.tiny)
    if model.path is None:
        return None
    folder = user_path(model.path)
    config = folder / CONFIG
    if is_folder(folder):
        there = any(os.path.lexists(folder / name) for name in (WHOLE, INDEX, ADAPTER))
        check_folder(model.path, weights=there)
    elif (cached := _cached_config(model.path)) is not None:
        config = cached
    if is_file(config):
        try:
            return _from_config(config_of(config), str(config))
        except (KeyError, TypeError, ValueError):
            return None
    name = model.path.rpartition("/")[2].lower().removesuffix("-instruct").removesuffix("-base")
    if name not in KNOWN:
        return None
    kind, *numbers, tied = KNOWN[name]
    return _shape(kind, *numbers, tied=tied, source=f"published shape of {name}")


def _cached_config(path: str) -> Path | None:
    if path.count("/") != 1 or path.startswith((".", "/", "~")):
        return None
    from huggingface_hub import try_to_load_from_cache

    try:
        found = try_to_load_from_cache(path, "config.json")
    except ValueError:  # no repository's name
        return None
    return Path(found) if isinstance(found, str) else None


def _tiny(tiny: TinyModel) -> Shape:
    size = tiny.width // tiny.heads
    numbers = tiny.layers, tiny.width, tiny.heads, tiny.heads, size, tiny.mlp, TINY_VOCABULARY
    source = f"model.tiny, a vocabulary of {TINY_VOCABULARY} words assumed"
    return _shape("qwen3", *numbers, tied=True, source=source)


def _from_config(config: dict[str, Any], source: str) -> Shape | None:
    config = config.get("text_config", config)
    if any("experts" in key for key in config):
        return None
    heads, width = int(config["num_attention_heads"]), int(config["hidden_size"])
    return _shape(
        str(config.get("model_type", "")),
        int(config["num_hidden_layers"]),
        width,
        heads,
        int(config.get("num_key_value_heads") or heads),
        int(config.get("head_dim") or width // heads),
        int(config["intermediate_size"]),
        int(config["vocab_size"]),
        tied=bool(config.get("tie_word_embeddings", False)),
        bias=bool(config.get("attention_bias", False)),
        source=source,
    )


def _shape(
    kind: str,
    layers: int,
    width: int,
    heads: int,
    kv_heads: int,
    head_dim: int,
    mlp: int,
    vocabulary: int,
    *,
    tied: bool,
    source: str,
    bias: bool = False,
) -> Shape:
    """Qwen2 has biases on queries, keys and values whatever its ``attention_bias`` says."""
    read = (heads + 2 * kv_heads) * head_dim
    biases = read if kind == "qwen2" else (read + width if bias else 0)
    norms = kind == "qwen3"
    return Shape(layers, width, heads, kv_heads, head_dim, mlp, vocabulary, tied, source, norms, biases)
