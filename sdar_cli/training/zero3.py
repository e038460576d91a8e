"""DeepSpeed's ZeRO stage 3, stepped when this trainer says so.

Accelerate has its DeepSpeed engine step inside the backward pass, after a number of micro-batches that both were told
before. Rollouts vary; so here a micro-batch says whether it is its update's last, and the step is one of its own, as
everywhere else: ``_Engine`` takes the place of accelerate's wrapper.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from accelerate.utils.deepspeed import DeepSpeedEngineWrapper
from transformers import TrainerCallback

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch.nn import Module

    from sdar_cli.training.trainer import SDARTrainer

CONFIG: dict[str, Any] = {
    "train_batch_size": "auto",
    "train_micro_batch_size_per_gpu": "auto",
    "gradient_accumulation_steps": 1,  # an update's micro-batches are not divided by their number
    "gradient_clipping": "auto",
    "bf16": {"enabled": "auto"},
    "communication_data_type": "fp32",
    "data_types": {"grad_accum_dtype": "fp32"},  # as elsewhere: else gradients are summed in bfloat16
    "zero_allow_untested_optimizer": True,
    "zero_optimization": {"stage": 3, "stage3_gather_16bit_weights_on_model_save": True},
}
"""DeepSpeed's settings; ``auto`` is what Hugging Face's arguments say."""


class Zero3(TrainerCallback):
    """Has the trainer's DeepSpeed engine step where the optimiser of other trainings does."""

    def __init__(self, trainer: SDARTrainer) -> None:
        self._trainer = trainer

    def on_train_begin(self, args, state, control, **kwargs):
        accelerator = self._trainer.accelerator
        accelerator.deepspeed_engine_wrapped = _Engine(accelerator.deepspeed_engine_wrapped.engine)

    def on_pre_optimizer_step(self, args, state, control, **kwargs):
        self._trainer.accelerator.deepspeed_engine_wrapped.step()


class _Engine(DeepSpeedEngineWrapper):
    has_gradients = False
    """Not in a step whose episodes cannot be trained on."""

    def step(self) -> None:
        if self.has_gradients:
            self.engine.step()
        elif self.engine.lr_scheduler is not None:
            self.engine.lr_scheduler.step()
        self.has_gradients = False

    def backward(self, loss, sync_gradients=True, **kwargs):
        self.has_gradients = True
        self.engine.set_gradient_accumulation_boundary(sync_gradients)
        self.engine.backward(loss, scale_wrt_gas=False)

    def get_global_grad_norm(self) -> float:
        """Before the step, which clips by it; NaN where a gradient is no number, for which DeepSpeed has -1."""
        import torch

        if not self.has_gradients:
            return 0.0
        norm = torch.linalg.vector_norm(torch.stack(self.engine.optimizer._get_norm_groups())).item()
        return norm if norm >= 0 else float("nan")


def start() -> None:
    """Import DeepSpeed, whose chatter goes to standard output, and which compiles what a CPU can do without."""
    import deepspeed
    import torch
    from deepspeed.utils import logger

    warnings.filterwarnings("ignore", "`torch.distributed", FutureWarning)  # of the calls that DeepSpeed makes
    for handler in logger.handlers:
        handler.setStream(sys.stderr)
        handler.setLevel(logging.ERROR)
    if not torch.accelerator.is_available():
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False


def is_on(accelerator: Accelerator) -> bool:
    return accelerator.state.deepspeed_plugin is not None


def is_engine(model: Module) -> bool:
    deepspeed = sys.modules.get("deepspeed")
    return deepspeed is not None and isinstance(model, deepspeed.DeepSpeedEngine)


@contextmanager
def not_last(accelerator: Accelerator) -> Iterator[None]:
    """Around a micro-batch after which the update goes on."""
    accelerator.gradient_state._set_sync_gradients(False)
    try:
        yield
    finally:
        accelerator.gradient_state._set_sync_gradients(True)


@contextmanager
def whole(engine: Module) -> Iterator[None]:
    """All weights on every rank, and no hook that would gather or release any of them, or compare notes with others."""
    import deepspeed
    from trl.models.utils import add_hooks, remove_hooks

    offload = getattr(engine.optimizer, "parameter_offload", engine.optimizer)
    with deepspeed.zero.GatheredParameters(engine.module.parameters()):
        offload.fwd_pre_hook.remove()
        remove_hooks(engine)
        try:
            yield
        finally:
            begin = offload.get_param_coordinator
            offload.fwd_pre_hook = engine.module.register_forward_pre_hook(lambda *about: begin().reset_step())
            add_hooks(engine)
