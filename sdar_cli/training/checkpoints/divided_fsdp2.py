"""What a torch optimiser steps where FSDP2 has divided the parameters: tensors of which each rank has some rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.distributed.tensor import DTensor, distribute_tensor

from sdar_cli.training.checkpoints.divided_groups import step_of, take_groups, told_groups
from sdar_cli.training.checkpoints.divided_state import STEP, WEIGHT

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module, Parameter
    from torch.optim import Optimizer


class Fsdp2Parts:
    """``divided_state.Parts`` of a divided model and its optimiser, also where accelerate has wrapped that."""

    def __init__(self, model: Module, optimiser: Optimizer) -> None:
        self._optimiser = getattr(optimiser, "optimizer", optimiser)
        names = {parameter: name for name, parameter in model.named_parameters()}
        self._names = [[names[one] for one in group["params"]] for group in self._optimiser.param_groups]
        self._parameters: dict[str, tuple[Parameter, dict[str, Any]]] = {
            names[parameter]: (parameter, group)
            for group in self._optimiser.param_groups
            for parameter in group["params"]
        }

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(parameter.shape) for name, (parameter, _) in self._parameters.items()}

    def dtype(self, name: str) -> torch.dtype:
        return self._parameters[name][0].dtype

    def groups(self) -> list[dict[str, Any]]:
        return told_groups(self._optimiser.param_groups, self._names)

    def set_groups(self, groups: Sequence[Mapping[str, Any]]) -> None:
        take_groups(self._optimiser.param_groups, groups)

    def counters(self) -> dict[str, int]:
        return {}

    def set_counters(self, counters: Mapping[str, int]) -> None: ...

    def kinds(self, name: str) -> list[str]:
        return [WEIGHT, *self._optimiser.state.get(self._parameters[name][0], {})]

    def whole(self, name: str, kind: str) -> Tensor:
        parameter, _ = self._parameters[name]
        tensor = parameter.detach() if kind == WEIGHT else self._optimiser.state[parameter][kind]
        return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor

    @torch.no_grad()
    def put(self, name: str, kind: str, whole: Tensor) -> None:
        parameter, group = self._parameters[name]
        if kind == STEP:
            self._optimiser.state[parameter][kind] = step_of(group, whole, parameter.device)
            return
        if kind == WEIGHT:
            place = parameter.detach()
        else:
            place = self._optimiser.state[parameter][kind] = torch.zeros_like(parameter.detach())
        if isinstance(place, DTensor):
            own = distribute_tensor(whole, place.device_mesh, place.placements, src_data_rank=None)
            place.to_local().copy_(own.to_local())
        else:
            place.copy_(whole)

    def finish(self) -> None: ...
