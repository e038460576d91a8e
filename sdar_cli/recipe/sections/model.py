"""``model``: the weights, their number format, and an adapter over them."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from sdar_cli.recipe.sections.section import Fraction, Plain, Positive, Section

NO_VARIABLES = (
    *("conversation", "messages", "chat_template", "add_generation_prompt", "continue_final_message", "tokenize"),
    *("padding", "truncation", "max_length", "return_tensors", "return_dict", "return_assistant_tokens_mask"),
    "tokenizer_kwargs",
)
"""What a prompt is made by, beside a template's variables (``apply_chat_template``'s own parameters)."""


class TinyModel(Section):
    """A Qwen3 of this shape, random-initialised, with a word tokenizer over the environment's vocabulary."""

    layers: Positive = 3
    width: Positive = 96
    heads: Positive = 4
    mlp: Positive = 256


class Lora(Section):
    """An adapter (PEFT's) over frozen weights."""

    rank: Positive = 32
    alpha: Positive = 64
    """B·A is multiplied by alpha / rank; with ``rslora`` by alpha / √rank."""
    dropout: Fraction = 0.0
    """In the warm-up; RL runs without, as its log-probs must be those of the policy that sampled."""
    targets: Literal["all-linear"] | list[str] = "all-linear"
    """Names of modules, or all linear layers but the head."""
    rslora: bool = False
    dora: bool = False
    """Train each output's magnitude beside its direction."""
    quantise: Literal["nf4"] | None = None
    """Hold the weights under the adapter in four bits (QLoRA); needs bitsandbytes."""

    @model_validator(mode="after")
    def _not_the_head(self) -> Lora:
        if "lm_head" in self.targets:
            raise ValueError(
                "model.lora.targets names lm_head, whose adapter would never be trained, as log-probs are computed "
                "from the head's own weights: remove it"
            )
        return self


class Model(Section):
    path: str | None = None
    """A Hugging Face folder or id."""
    tiny: TinyModel | None = None
    dtype: Literal["float32", "bfloat16"] = "float32"
    template_kwargs: Plain = {}
    """Passed to the chat template (Qwen3: ``enable_thinking: false``)."""
    gradient_checkpointing: bool = False
    trust_remote_code: bool = False
    lora: Lora | None = None

    @model_validator(mode="after")
    def _kwargs_are_variables(self) -> Model:
        for name in NO_VARIABLES:
            if name in self.template_kwargs:
                raise ValueError(
                    f"model.template_kwargs holds {name}, which is no variable of a chat template, but what sdar makes "
                    "prompts by: remove it"
                )
        return self

    @model_validator(mode="after")
    def _one_source(self) -> Model:
        if self.path is not None and self.tiny is not None:
            raise ValueError("model.path and model.tiny exclude each other: set one of them to null")
        return self
