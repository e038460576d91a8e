"""What DeepSpeed's stage 3 steps: flat float32 groups, in which each rank has a part of every parameter.

A part is as many numbers on every rank, the last ones of the last rank being zeros behind the parameter's end. Weights
with which the passes compute are copies of these, in bfloat16 where the model is; they are made anew (``finish``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from sdar_cli.training.checkpoints.divided_groups import step_of, take_groups, told_groups
from sdar_cli.training.checkpoints.divided_state import STEP, WEIGHT

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module, Parameter

COUNTERS = ("global_steps", "global_samples", "skipped_steps")


class Zero3Parts:
    """``divided_state.Parts`` of a DeepSpeed engine."""

    def __init__(self, engine: Module) -> None:
        self._engine = engine
        self._zero = zero = engine.optimizer
        self._inner = zero.optimizer
        names = {parameter: name for name, parameter in engine.module.named_parameters()}
        self._names: list[list[str]] = [[] for _ in self._inner.param_groups]
        self._parameters: dict[str, tuple[Parameter, Tensor, dict[str, Any]]] = {}
        for number, subgroup in enumerate(zero.fp16_groups):
            place = zero.sub_group_to_group_id[number]
            flat = zero.fp32_partitioned_groups_flat[number]
            for parameter in subgroup:
                self._names[place].append(names[parameter])
                self._parameters[names[parameter]] = parameter, flat, self._inner.param_groups[place]

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(parameter.ds_shape) for name, (parameter, *_) in self._parameters.items()}

    def dtype(self, name: str) -> torch.dtype:
        return self._parameters[name][1].dtype

    def groups(self) -> list[dict[str, Any]]:
        return told_groups(self._inner.param_groups, self._names)

    def set_groups(self, groups: Sequence[Mapping[str, Any]]) -> None:
        take_groups(self._inner.param_groups, groups)

    def counters(self) -> dict[str, int]:
        return {name: int(getattr(self._engine, name)) for name in COUNTERS}

    def set_counters(self, counters: Mapping[str, int]) -> None:
        for name in COUNTERS:
            setattr(self._engine, name, counters[name])

    def kinds(self, name: str) -> list[str]:
        return [WEIGHT, *self._inner.state.get(self._parameters[name][1], {})]

    def whole(self, name: str, kind: str) -> Tensor:
        parameter, flat, _ = self._parameters[name]
        if kind == STEP:
            return self._inner.state[flat][STEP]
        return self._zero.get_full_hp_param(parameter, None if kind == WEIGHT else kind)

    @torch.no_grad()
    def put(self, name: str, kind: str, whole: Tensor) -> None:
        parameter, flat, group = self._parameters[name]
        if kind == STEP:
            self._inner.state[flat][STEP] = step_of(group, whole, flat.device)
            return
        if kind != WEIGHT and kind not in self._inner.state[flat]:
            self._inner.state[flat][kind] = torch.zeros_like(flat)
        part = self.part(name, kind)
        start = len(part) * self._zero._get_param_partition_rank(parameter)
        there = max(0, min(len(part), whole.numel() - start))
        part[:there].copy_(whole.flatten()[start : start + there])
        part[there:].zero_()

    def part(self, name: str, kind: str) -> Tensor:
        """This rank's, of one dimension: where it lies, no copy."""
        parameter, flat, _ = self._parameters[name]
        tensor = flat if kind == WEIGHT else self._inner.state[flat][kind]
        _, offset, length = self._zero.grad_position[self._zero.get_param_id(parameter)]
        return tensor.detach().narrow(0, offset, length)

    def finish(self) -> None:
        """By DeepSpeed's own way from float32 to the weights of the passes, of a state that it has already."""
        zero = self._zero
        zero.checkpoint_event_prologue()
        told = {
            "loss_scaler": zero.loss_scaler,
            "dynamic_loss_scale": zero.dynamic_loss_scale,
            "overflow": zero.overflow,
            "fp32_flat_groups": zero.fp32_partitioned_groups_flat,
        }
        rank = torch.distributed.get_rank(group=zero.dp_process_group)
        zero.load_state_dict({rank: told}, load_optimizer_states=False)
        zero.checkpoint_event_epilogue()


@contextmanager
def tensors_alone() -> Iterator[None]:
    """Have DeepSpeed read checkpoints of its own format as tensors and a few classes of plain data, which it would
    have run as any code."""
    from deepspeed.runtime.checkpoint_engine.torch_checkpoint_engine import TorchCheckpointEngine
    from deepspeed.runtime.fp16.loss_scaler import LossScaler
    from deepspeed.runtime.zero.config import ZeroStageEnum

    def load(engine: TorchCheckpointEngine, path: str, map_location: Any = None) -> Any:
        with torch.serialization.safe_globals([LossScaler, ZeroStageEnum]):
            return torch.load(path, map_location=map_location, weights_only=True)

    TorchCheckpointEngine.load, own = load, TorchCheckpointEngine.load
    try:
        yield
    finally:
        TorchCheckpointEngine.load = own
