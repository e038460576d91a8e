"""Weights in parts (FSDP2, ZeRO-3), put together for as long as ranks go different ways.

Ranks play episodes of different lengths, and score different numbers of rows. A layer that is gathered at every
forward pass would wait there for the others for ever; so these phases see whole weights, for which there is room, as
neither gradients nor activations are held then.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from sdar_cli.training import zero3

if TYPE_CHECKING:
    from torch.nn import Module

    from sdar_cli.training.trainer import SDARTrainer


@contextmanager
def whole_weights(trainer: SDARTrainer) -> Iterator[None]:
    """No rank waits for another within; every rank must enter and leave."""
    with ExitStack() as stack:
        policy = trainer.model_wrapped if zero3.is_on(trainer.accelerator) else trainer.model
        for model in (policy, trainer.ref_model):
            if model is not None:
                stack.enter_context(zero3.whole(model) if zero3.is_engine(model) else _whole(model))
        yield


@contextmanager
def not_last(trainer: SDARTrainer, model: Module) -> Iterator[None]:
    """Around a micro-batch after which the update goes on: gradients are kept, and not yet summed over ranks."""
    with zero3.not_last(trainer.accelerator), trainer.accelerator.no_sync(model):
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
