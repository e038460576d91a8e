"""Weights that have diverged are noticed where a model speaks: its logits are no numbers any more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sdar_cli.errors import RunFailed

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class LogitsNotFinite(RunFailed):
    def __init__(self) -> None:
        super().__init__(
            "the model's logits are not finite (NaN or Inf), so no token can be drawn: its weights have diverged, "
            "so lower optimiser.learning_rate, or use an earlier checkpoint"
        )

    def __reduce__(self) -> tuple[type[LogitsNotFinite], tuple[()]]:
        return LogitsNotFinite, ()  # it crosses to a run's other processes


@contextmanager
def finite_logits(model: PreTrainedModel) -> Iterator[None]:
    """Within, the logits that tokens are drawn from are looked at; −inf beside finite ones is well.

    Drawing computes one position at a time, by which it is told from training and scoring.

    Raises:
        LogitsNotFinite: from the forward pass, before a token is drawn.
    """
    import torch

    def look(module: object, arguments: object, logits: torch.Tensor) -> None:
        if logits.dim() == 3 and logits.size(1) == 1 and not torch.isfinite(logits.amax(-1)).all():
            raise LogitsNotFinite

    handle = model.get_output_embeddings().register_forward_hook(look)
    try:
        yield
    finally:
        handle.remove()
