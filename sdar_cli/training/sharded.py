"""Weights in parts (FSDP2), put together for as long as ranks go different ways.

Ranks play episodes of different lengths, and score different numbers of rows. A layer that is gathered at every
forward pass would wait there for the others for ever; so these phases see whole weights, for which there is room, as
neither gradients nor activations are held then.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.nn import Module

    from sdar_cli.training.trainer import SDARTrainer


@contextmanager
def whole_weights(trainer: SDARTrainer) -> Iterator[None]:
    """No rank waits for another within; every rank must enter and leave."""
    with ExitStack() as stack:
        for model in (trainer.model, trainer.ref_model):
            if model is not None:
                stack.enter_context(_whole(model))
        yield


@contextmanager
def _whole(model: Module) -> Iterator[None]:
    from torch.distributed.fsdp import FSDPModule

    parts = [module for module in model.modules() if isinstance(module, FSDPModule)]
    for part in parts:
        part.set_reshard_after_forward(False, recurse=False)
        part.unshard()
    try:
        yield
    finally:
        for part in parts:
            part.set_reshard_after_forward(True, recurse=False)
            part.reshard()
