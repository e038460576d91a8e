"""What the two ways to divide an optimiser have in common: its groups as plain data, and where a step's count lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def told_groups(groups: Sequence[Mapping[str, Any]], names: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    """A torch optimiser's groups, with the names of their parameters; in one order of keys, whoever made them."""
    return [dict(sorted({**group, "params": list(own)}.items())) for group, own in zip(groups, names, strict=True)]


def take_groups(groups: Sequence[dict[str, Any]], told: Sequence[Mapping[str, Any]]) -> None:
    """Give a torch optimiser's groups the settings that were told; its parameters stay."""
    for group, values in zip(groups, told, strict=True):
        for key, value in values.items():
            if key != "params":
                group[key] = tuple(value) if isinstance(group[key], tuple) else value


def step_of(group: Mapping[str, Any], value: Tensor, device: torch.device) -> Tensor:
    """The count of steps, where torch's optimiser wants it."""
    import torch

    if group["fused"] or group["capturable"]:
        return value.to(device=device, dtype=torch.float32)
    return value
