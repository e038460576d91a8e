"""Weights in parts (FSDP2, ZeRO-3), put together for as long as ranks go different ways.

Ranks play episodes of different lengths, and score different numbers of rows. A layer that is gathered at every
forward pass would wait there for the others for ever; so these phases see whole weights, for which there is room, as
neither gradients nor activations are held then.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

from sdar_cli.training import zero3

if TYPE_CHECKING:
    from torch.nn import Module

    from sdar_cli.training.trainer import SDARTrainer


@contextmanager
def whole_weights(trainer: SDARTrainer, model: Module | None = None) -> Iterator[None]:
    """Of the policy, or of another model of the trainer's: its reference, for which there is no room beside the policy.

    No rank waits for another within; every rank must enter and leave.
    """
    if model is None or model is trainer.model:
        model = trainer.model_wrapped if zero3.is_on(trainer.accelerator) else trainer.model
    with (
        zero3.whole(model) if zero3.is_engine(model) else _whole(model),
        _generating_alone(trainer.accelerator.unwrap_model(trainer.model)),
    ):
        yield


@contextmanager
def not_last(trainer: SDARTrainer, model: Module) -> Iterator[None]:
    """Around a micro-batch after which the update goes on. Whole gradients are kept, and not yet summed over ranks;
    FSDP2 sums them now, so that each rank keeps its part alone."""
    accelerator = trainer.accelerator
    with zero3.not_last(accelerator), nullcontext() if accelerator.is_fsdp2 else accelerator.no_sync(model):
        yield


@contextmanager
def _generating_alone(model: Module) -> Iterator[None]:
    """Hugging Face's ``generate`` asks the other ranks after every token whether they are done, where a model lies in
    parts. One that answers fewer prompts would never say so."""
    generate = model.generate
    model.generate = partial(generate, synced_gpus=False)
    try:
        yield
    finally:
        del model.generate


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
