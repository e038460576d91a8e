"""A moving average of the weights that train: the teacher of ``teacher.kind=ema``.

Only parameters with a gradient are averaged (with LoRA: the adapter), so no second model is held; for a
forward pass the averages are put in the parameters' place for a while. Where weights lie in parts on the ranks, each
rank holds the whole average, and every update of it puts the parts together, of one parameter at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file, save_file
from transformers import TrainerCallback

from sdar_cli.errors import RunError
from sdar_cli.training.checkpoints.damaged import reading
from sdar_cli.training.sharded import full

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module, Parameter

FILE = "ema.safetensors"


class MovingAverage(TrainerCallback):
    """θ̄ ← d·θ̄ + (1 − d)·θ after every optimiser update, in float32; starts at θ.

    A callback of the trainer, which hears of every update.
    """

    def __init__(self, model: Module, decay: float) -> None:
        self.decay = decay
        self._model = model
        self.average = {name: p.detach().float().clone() for name, p in self._own()}

    def _own(self) -> list[tuple[str, Parameter]]:
        """Asked for again each time, as dividing a model among ranks puts others in their place."""
        return [(name, p) for name, p in self._model.named_parameters() if p.requires_grad]

    @torch.no_grad()
    def update(self) -> None:
        for name, parameter in self._own():
            average = self.average[name]
            average.lerp_(full(parameter).detach().to(average.device, average.dtype), 1 - self.decay)

    def on_optimizer_step(self, args, state, control, **kwargs):
        self.update()

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The averages in the place of the parameters, which are whole; they come back bit for bit."""
        kept = {name: parameter.detach().clone() for name, parameter in self._own()}
        try:
            self._write(self.average)
            yield
        finally:
            self._write(kept)

    @torch.no_grad()
    def _write(self, values: dict[str, Tensor]) -> None:
        for name, parameter in self._own():
            parameter.copy_(values[name].to(parameter.dtype))

    def save(self, folder: Path) -> None:
        save_file({name: value.contiguous() for name, value in self.average.items()}, folder / FILE)

    def load(self, folder: Path) -> None:
        """Raises RunError when the checkpoint has no average of these weights."""
        path = folder / FILE
        if not path.is_file():
            raise RunError(f"the checkpoint {folder} has no {FILE}, which teacher.kind=ema needs: start a new run")
        with reading(path):
            stored = load_file(path)
        if {n: v.shape for n, v in stored.items()} != {n: v.shape for n, v in self.average.items()}:
            raise RunError(f"{path} holds other weights than the model trains: start a new run")
        for name, value in stored.items():
            self.average[name].copy_(value)
