"""The forward pass that log-probs come from: rows as they are, padded at their end alone.

TRL hands over prompts padded on the left and completions padded on the right. Sorted by length, rows hardly differ in
their sums, but a prompt and a completion of theirs do, so that a sixth of such a batch is padding, and the batch
exceeds the budget that it was cut for. Here each row is moved to the left, which leaves padding at the ends only.
Three things follow. No attention mask is needed, as a causal model does not look ahead: torch may choose kernels whose
memory grows with a row's length and not with its square. Positions count from 0 in every row. And no row's numbers
depend on those beside it, but for the order of sums.

Shapes: B rows, P and T tokens of TRL's prompts and completions, W of the longest row, V vocabulary, H hidden.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from sdar_cli.training.trl_seam import log_probs_of

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from torch import Tensor
    from transformers import PreTrainedModel

Scored = tuple["Tensor", "Tensor | None", "Tensor | None"]
"""Log-probs (B, T), entropies in nats (B, T), the routers' loss of a mixture of experts."""


@dataclass(frozen=True, slots=True)
class Tight:
    """Rows without padding before their first token."""

    ids: Tensor
    """(B, W)"""
    real: Tensor
    """(B, W), true on tokens, false on padding."""
    scored: Tensor
    """(B, W), true on tokens whose log-probs are asked for."""
    wanted: Tensor
    """(B, T), the same tokens at the places where TRL has them."""
    tokens: int
    """How many are real."""

    @classmethod
    def of(cls, ids: Tensor, mask: Tensor, wanted: Tensor) -> Tight:
        """From TRL's ids and mask, (B, P + T); ``wanted`` is a part of the mask's last T columns."""
        lengths = mask.sum(1)
        counts = lengths.tolist()
        places = torch.arange(max(counts), device=ids.device)
        real = places < lengths.unsqueeze(1)
        source = (places + mask.argmax(1, keepdim=True)).clamp(max=ids.size(1) - 1)
        wanted = wanted.bool()
        anywhere = torch.cat([wanted.new_zeros(len(ids), ids.size(1) - wanted.size(1)), wanted], dim=1)
        return cls(ids.gather(1, source), real, anywhere.gather(1, source) & real, wanted, sum(counts))

    @property
    def slots(self) -> int:
        """Tokens and padding that the model sees."""
        return self.ids.numel()

    def spread(self, values: Tensor) -> Tensor:
        """(B, W − 1) values of the tokens but the first, as (B, T), 0 where nothing was asked for."""
        return values.new_zeros(self.wanted.shape).masked_scatter(self.wanted, values[self.scored[:, 1:]])

    def predicting(self, hidden: Tensor) -> Tensor:
        """Of hidden states (B, W, H) those (N, H) that predict the tokens asked for, row by row."""
        return hidden[:, :-1][self.scored[:, 1:]]


def score(
    model: PreTrainedModel,
    tight: Tight,
    *,
    autocast: Callable[[], AbstractContextManager],
    compute_entropy: bool,
    compute_aux_loss: bool,
) -> Scored:
    """Log-probs of the tokens asked for, at the training's temperature; zeros elsewhere.

    Logits exist for a tile of tokens and words at a time, and are computed again in the backward pass.
    """
    labels = tight.ids.masked_fill(~tight.scored, -100)
    about = {"attention_mask": tight.real.long(), "output_router_logits": True} if compute_aux_loss else {}
    with autocast():
        out = log_probs_of(model, input_ids=tight.ids, labels=labels, **about)
    entropy = tight.spread(out.entropy) if compute_entropy else None
    return tight.spread(out.log_probs), entropy, out.aux_loss if compute_aux_loss else None


@dataclass(slots=True)
class Padding:
    """How much of what the model saw was padding."""

    tokens: int = 0
    slots: int = 0

    def add(self, tokens: int, slots: int) -> None:
        self.tokens += tokens
        self.slots += slots

    def share(self, gather: Callable[[list], list] = list) -> float:
        """Over all ranks; 0 where nothing was seen."""
        parts = gather([(self.tokens, self.slots)])
        slots = sum(part[1] for part in parts)
        return 1 - sum(part[0] for part in parts) / slots if slots else 0.0
