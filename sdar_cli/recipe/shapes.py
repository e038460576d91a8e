"""Shapes of models, and what follows from them: parameters, without loading a weight."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sdar_cli.paths import is_file, user_path
from sdar_cli.recipe.schema import Model, TinyModel

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

    @property
    def parameters(self) -> int:
        """Weights of embeddings, attention and MLP; norms and biases, some 0.01 %, are left out."""
        attention = self.width * self.head_dim * (2 * self.heads + 2 * self.kv_heads)
        return self.layers * (attention + 3 * self.width * self.mlp) + self.embeddings

    @property
    def embeddings(self) -> int:
        return self.vocabulary * self.width * (1 if self.tied else 2)

    def lora_parameters(self, rank: int) -> int:
        """Adapter weights with every linear layer of the blocks as a target."""
        inner, kv = self.heads * self.head_dim, self.kv_heads * self.head_dim
        attention = 2 * (self.width + inner) + 2 * (self.width + kv)
        return self.layers * rank * (attention + 3 * (self.width + self.mlp))


KNOWN = {
    "qwen3-1.7b": (28, 2048, 16, 8, 128, 6144, 151_936, True),
    "qwen2.5-3b": (36, 2048, 16, 2, 128, 11_008, 151_936, True),
    "qwen2.5-7b": (28, 3584, 28, 4, 128, 18_944, 152_064, False),
}
"""Published ``config.json`` values: layers, width, heads, KV heads, head size, MLP, vocabulary, tied."""


def model_shape(model: Model) -> Shape | None:
    """The shape from ``model.tiny``, a local folder's ``config.json`` or the table; None when unknown."""
    if model.tiny is not None:
        return _tiny(model.tiny)
    if model.path is None:
        return None
    config = user_path(model.path) / "config.json"
    if is_file(config):
        try:
            return _from_config(json.loads(config.read_text("utf-8")), str(config))
        except (OSError, ValueError, KeyError, TypeError):
            return None
    name = model.path.rpartition("/")[2].lower().removesuffix("-instruct").removesuffix("-base")
    return Shape(*KNOWN[name], source=f"published shape of {name}") if name in KNOWN else None


def _tiny(tiny: TinyModel) -> Shape:
    return Shape(
        layers=tiny.layers,
        width=tiny.width,
        heads=tiny.heads,
        kv_heads=tiny.heads,
        head_dim=tiny.width // tiny.heads,
        mlp=tiny.mlp,
        vocabulary=TINY_VOCABULARY,
        tied=True,
        source=f"model.tiny, a vocabulary of {TINY_VOCABULARY} words assumed",
    )


def _from_config(config: dict[str, Any], source: str) -> Shape:
    heads, width = int(config["num_attention_heads"]), int(config["hidden_size"])
    return Shape(
        layers=int(config["num_hidden_layers"]),
        width=width,
        heads=heads,
        kv_heads=int(config.get("num_key_value_heads") or heads),
        head_dim=int(config.get("head_dim") or width // heads),
        mlp=int(config["intermediate_size"]),
        vocabulary=int(config["vocab_size"]),
        tied=bool(config.get("tie_word_embeddings", False)),
        source=source,
    )
