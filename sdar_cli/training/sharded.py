"""Weights in parts (FSDP2, ZeRO-3): how they are divided, and put together for as long as ranks go different ways.

Ranks that generate by themselves play episodes of different lengths. A layer that is gathered at every forward pass
would wait there for the others for ever; so generation sees whole weights, for which there is room, as neither
gradients nor activations are held then. Scoring under FSDP2 runs as many passes on every rank (``prefix_pass``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

from sdar_cli.training import zero3

if TYPE_CHECKING:
    import torch
    from accelerate import Accelerator
    from torch import Tensor
    from torch.nn import Module, Parameter

    from sdar_cli.training.trainer import SDARTrainer


def prepare_reference(model: Module, accelerator: Accelerator) -> Module:
    """A model that is read and never trained, divided as the policy is."""
    if zero3.is_on(accelerator):
        from trl.models.utils import prepare_deepspeed

        return prepare_deepspeed(model, accelerator)
    if not accelerator.is_fsdp2:
        return accelerator.prepare_model(model, evaluation_mode=True)
    from accelerate.utils.fsdp_utils import fsdp2_prepare_model

    keep_float32(accelerator)
    return fsdp2_prepare_model(accelerator, model).eval()


def keep_float32(accelerator: Accelerator) -> None:
    """Have FSDP2 compute in bfloat16 without rounding what comes of it: accelerate's own policy sums gradients in
    bfloat16, and casts log-probs to it, of which a gap and a ratio are differences."""
    if not accelerator.is_fsdp2 or (policy := accelerator.state.fsdp_plugin.mixed_precision_policy) is None:
        return
    import torch
    from torch.distributed.fsdp import MixedPrecisionPolicy

    accelerator.state.fsdp_plugin.mixed_precision_policy = MixedPrecisionPolicy(policy.param_dtype, torch.float32)


def lies_in_parts(parameter: Parameter) -> bool:
    """Of a model that is to be divided, not before the training begins."""
    return hasattr(parameter, "full_tensor") or hasattr(parameter, "ds_id")


def full(parameter: Parameter) -> Tensor:
    """What the optimiser steps, all of it and as exactly as it does; where it lies in parts, every rank must ask."""
    if hasattr(parameter, "full_tensor"):
        return parameter.full_tensor()
    if hasattr(parameter, "ds_id"):
        from deepspeed.utils import safe_get_full_fp32_param

        return safe_get_full_fp32_param(parameter)
    return parameter


@contextmanager
def whole_weights(trainer: SDARTrainer, model: Module | None = None) -> Iterator[None]:
    """Of the policy, or of another model of the trainer's: its reference, for which there is no room beside the policy.

    No rank waits for another within; every rank must enter and leave.
    """
    if model is None or model is trainer.model:
        model = trainer.model_wrapped if zero3.is_on(trainer.accelerator) else trainer.model
    with (
        zero3.whole(model) if zero3.is_engine(model) else _whole(model, trainer.accelerator.device),
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
def _whole(model: Module, device: torch.device) -> Iterator[None]:
    from torch.distributed.fsdp import FSDPModule

    parts = [module for module in model.modules() if isinstance(module, FSDPModule)]
    waits = next(model.parameters()).device
    if not parts and waits.type != device.type:  # Hugging Face leaves a model on the CPU until it is divided
        model.to(device)
    for part in parts:
        part.set_reshard_after_forward(False, recurse=False)
        part.unshard()
    try:
        yield
    finally:
        for part in parts:
            part.set_reshard_after_forward(True, recurse=False)
            part.reshard()
        if not parts and waits.type != device.type:
            model.to(waits)
