"""A step's begin: what a step changes before its first optimiser update, to be put back when the step is dropped.

Weights, moments of the optimiser, its schedule and the average of an ``ema`` teacher are those of the step before
until then, and the tasks of a step follow from seed and number. What a rollout draws from and what it teaches are left.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch

if TYPE_CHECKING:
    from sdar_cli.skills.retrieval import Retriever


@dataclass(frozen=True, slots=True)
class StepStart:
    """Random states of this process and of its device, and what the retrieval had learnt."""

    python: Any
    numpy: Any
    cpu: torch.Tensor
    devices: list[torch.Tensor]
    retriever: dict[str, Any]

    @classmethod
    def take(cls, retriever: Retriever) -> Self:
        devices = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        return cls(random.getstate(), np.random.get_state(), torch.get_rng_state(), devices, retriever.state())

    def restore(self, retriever: Retriever) -> None:
        random.setstate(self.python)
        np.random.set_state(self.numpy)
        torch.set_rng_state(self.cpu)
        if self.devices:
            torch.cuda.set_rng_state_all(self.devices)
        retriever.load_state(self.retriever)
