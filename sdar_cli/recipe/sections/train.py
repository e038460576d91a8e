"""``optimiser`` and ``train``: the update, the number of steps, and the checkpoints kept."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sdar_cli.recipe.sections.section import Count, Fraction, Positive, Section


class Optimiser(Section):
    learning_rate: Annotated[float, Field(gt=0)] = 1e-6
    schedule: Literal["constant", "constant_with_warmup", "cosine"] = "constant"
    warmup_ratio: Fraction = 0.0
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    rows_per_update: Positive | None = None
    """Training rows in one optimiser update; null: the whole rollout is one update."""
    tokens_per_microbatch: Positive = 16384
    """Padded tokens in one forward and backward pass."""


class Train(Section):
    steps: Positive = 150
    checkpoint_every: Positive = 25
    keep_checkpoints: Positive = 2
    """The newest so many are kept."""
    keep_best: Count = 0
    """Kept besides: so many with the highest success without skills, by the evaluations at their very steps
    (``evaluation.every``); of equal ones the earlier."""
