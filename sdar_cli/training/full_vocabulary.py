"""Hidden states for the full-vocabulary divergences: the student's from the loss's own forward pass, the
teacher's from one forward pass a micro-batch, inside the loss.

``teacher.kind=live`` therefore means the current weights here, the step's earlier updates included; with one
update a rollout they are the weights at rollout time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import linear

from sdar_cli.errors import RecipeError
from sdar_cli.objectives.divergences import full_vocabulary

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from sdar_cli.training.batch import Batch
    from sdar_cli.training.trainer import SDARTrainer

UNKNOWN_SCALINGS = (
    "final_logit_softcapping",
    "logit_scale",
    "output_multiplier",
    "lm_head_multiplier",
    "logits_scaling",
)
"""Config keys by which a model changes its logits behind the head; none is set in Qwen2.5, Qwen3 or Llama."""


class FullVocabulary:
    """Divergences between a trainer's policy and its teacher; see the module docstring.

    Raises:
        RecipeError: the model changes its logits behind its head.
    """

    def __init__(self, trainer: SDARTrainer) -> None:
        self.trainer = trainer
        config = trainer.accelerator.unwrap_model(trainer.model).config.get_text_config()
        changed = [name for name in UNKNOWN_SCALINGS if getattr(config, name, None) not in (None, 1, 1.0)]
        if changed:
            raise RecipeError(
                f"distill.divergence={trainer.recipe.distill.divergence} does not know this model's {changed[0]}: "
                "set distill.divergence=sampled"
            )
        self._teacher: tuple[Tensor, Tensor, Tensor | None] | None = None

    def score_teacher(self, inputs: Batch) -> Tensor:
        """The teacher's log-probs of the sampled tokens, (B, T); its hidden states are kept for ``divergence``."""
        trainer, start = self.trainer, time.perf_counter()
        model, switch = trainer.scorer.teacher()
        length = inputs["completion_ids"].size(1)
        with torch.no_grad(), switch, self.capture(model) as states:
            logps, _, _ = trainer.score_tokens(
                model,
                torch.cat([inputs["teacher_prompt_ids"], inputs["completion_ids"]], dim=1),
                torch.cat([inputs["teacher_prompt_mask"], inputs["completion_mask"]], dim=1),
                length,
                wanted=inputs["completion_mask"] * inputs["tool_mask"],
            )
            head = _causal(trainer.accelerator.unwrap_model(model)).get_output_embeddings()
            swapped = trainer.recipe.teacher.kind == "ema"
            weight = head.weight.detach().clone() if swapped else head.weight.detach()
            bias = None if head.bias is None else head.bias.detach().clone()
        self._teacher = (trainer.layout.predicting(states[-1]), weight, bias)
        trainer.scorer.add_teacher_seconds(time.perf_counter() - start)
        return logps

    def divergence(self, states: list[Tensor], mask: Tensor) -> Tensor:
        """(B, T), with its gradient; ``states`` are what ``capture`` saw of the student's forward pass."""
        trainer = self.trainer
        hidden, weight, bias = self._teacher
        self._teacher = None
        head = _causal(trainer.accelerator.unwrap_model(trainer.model)).get_output_embeddings()
        own = trainer.layout.predicting(states[-1])
        values = full_vocabulary(
            own.unsqueeze(0),
            hidden.unsqueeze(0),
            head,
            lambda chosen: linear(chosen, weight.to(chosen.dtype), bias),
            mask.new_ones(1, len(own)),
            kind=trainer.recipe.distill.divergence,
            temperature=trainer.temperature,
        )
        return values.new_zeros(mask.shape).masked_scatter(mask.bool(), values)

    @contextmanager
    def capture(self, model: PreTrainedModel) -> Iterator[list[Tensor]]:
        """Collects the backbone's last hidden states of every forward pass inside."""
        causal = _causal(self.trainer.accelerator.unwrap_model(model))
        states: list[Tensor] = []
        handle = causal.base_model.register_forward_hook(
            lambda module, inputs, output: states.append(output.last_hidden_state)
        )
        try:
            yield states
        finally:
            handle.remove()


def _causal(model: PreTrainedModel) -> PreTrainedModel:
    """The causal language model inside a PEFT model, or the model itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model
