"""Moments, schedule and random states of a checkpoint, without pickles: whoever reads one runs nobody's code.

    training/moments.safetensors   ``3.exp_avg``: of the optimiser's fourth parameter; as many as have a state
    training/optimiser.json        its groups, and the schedule of the learning rate
    training/random.json           random states; of several processes ``random-N.json`` each

A folder of its own, as servers read every safetensors file beside a model's. Under ``fsdp2`` and ``zero3`` moments
lie in parts on the ranks, and ``divided_state`` writes them and the weights by name; random states are as here.
Checkpoints of before, in formats of torch, accelerate and DeepSpeed, are read by Hugging Face's loop, which loads
tensors alone (``weights_only``; DeepSpeed is made to).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file

from sdar_cli.errors import RunFailed
from sdar_cli.evaluation.files import write_json
from sdar_cli.launch import dist
from sdar_cli.reading import read_json
from sdar_cli.training.checkpoints.damaged import LARGEST, damaged, is_alike, reading
from sdar_cli.training.checkpoints.divided_fsdp2 import Fsdp2Parts
from sdar_cli.training.checkpoints.divided_state import OPTIMISER, STEP, load_divided, save_divided
from sdar_cli.training.checkpoints.divided_zero3 import Zero3Parts, tensors_alone
from sdar_cli.training.checkpoints.random_states import load_random_states, save_random_states
from sdar_cli.training.checkpoints.resumable import DEEPSPEED

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

    from sdar_cli.training.checkpoints.divided_state import Parts

FOLDER = "training"
MOMENTS = "moments.safetensors"
OLD_OPTIMISER, OLD_SCHEDULER = "optimizer.pt", "scheduler.pt"
OLD_DIVIDED = ("optimizer.bin", DEEPSPEED)
"""Of accelerate and of DeepSpeed: what a checkpoint of before has, where its moments lie in parts."""
FORMAT = 1
KNOWN = (torch.optim.AdamW, torch.optim.Adam)
"""Those whose state is one tensor a name and parameter; the step is the one without the parameter's shape."""


class PlainState:
    """Of ``SDARTrainer``: where Hugging Face's loop saves and loads what torch would pickle."""

    def create_optimizer(self, *args, **kwargs) -> Optimizer:
        optimiser = super().create_optimizer(*args, **kwargs)
        check_known(optimiser)
        return optimiser

    def _prepare_for_training(self, max_steps, train_dataloader, resume_from_checkpoint):
        """Where weights lie in parts, they are taken up here, after they were divided, and the optimiser with them."""
        folder = resume_from_checkpoint
        if folder is None or _is_whole():
            return super()._prepare_for_training(max_steps, train_dataloader, folder)
        if is_old_divided(Path(folder)):
            with tensors_alone() if dist.in_use() == "zero3" else nullcontext():
                return super()._prepare_for_training(max_steps, train_dataloader, folder)
        made = super()._prepare_for_training(max_steps, train_dataloader, None)
        load_divided(Path(folder) / FOLDER, self._parts(), self.lr_scheduler)
        return made

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if not _is_whole():
            save_divided(Path(output_dir) / FOLDER, self._parts(), self.lr_scheduler)
        elif self.args.should_save:
            save_optimiser(Path(output_dir) / FOLDER, self.optimizer, self.lr_scheduler)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None:
            return
        folder = Path(checkpoint)
        if not _is_whole():
            super()._load_optimizer_and_scheduler(checkpoint)
        elif all((folder / name).is_file() for name in (OLD_OPTIMISER, OLD_SCHEDULER)):
            with reading(folder / OLD_OPTIMISER):
                super()._load_optimizer_and_scheduler(checkpoint)
        else:
            load_optimiser(folder / FOLDER, self.optimizer, self.lr_scheduler)

    def _save_rng_state(self, output_dir: str) -> None:
        save_random_states(Path(output_dir) / FOLDER / self._random_file())

    def _load_rng_state(self, checkpoint: str | None) -> None:
        """A process that no file is of keeps the random states it has (``resumable.check_processes`` says so)."""
        if checkpoint is None:
            return
        file = Path(checkpoint) / FOLDER / self._random_file()
        if file.exists():
            load_random_states(file)
        else:
            with reading(Path(checkpoint) / "rng_state.pth"):
                super()._load_rng_state(checkpoint)

    def _parts(self) -> Parts:
        if dist.in_use() == "zero3":
            return Zero3Parts(self.model_wrapped)
        return Fsdp2Parts(self.model, self.optimizer)

    def _random_file(self) -> str:
        return f"random-{self.args.process_index}.json" if self.args.world_size > 1 else "random.json"


def is_old_divided(folder: Path) -> bool:
    """Whether a checkpoint's parts are in accelerate's or DeepSpeed's own format."""
    return any((folder / name).is_file() for name in OLD_DIVIDED)


def check_known(optimiser: Optimizer) -> None:
    """
    Raises:
        RunFailed: what the optimiser's state is made of is not known.
    """
    kind = type(getattr(optimiser, "optimizer", optimiser))
    if kind not in KNOWN:
        raise RunFailed(
            f"a checkpoint cannot hold the state of {kind.__name__} without pickling it, as only that of Adam and "
            "AdamW is known: train with AdamW"
        )


def save_optimiser(folder: Path, optimiser: Optimizer, scheduler: LRScheduler) -> None:
    """Write moments, groups and schedule into a folder, which is made."""
    check_known(optimiser)
    state = optimiser.state_dict()
    tensors = {f"{n}.{name}": value for n, own in state["state"].items() for name, value in own.items()}
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: value.detach().contiguous() for name, value in tensors.items()}, folder / MOMENTS)
    told = {"format": FORMAT, "groups": state["param_groups"], "scheduler": scheduler.state_dict()}
    write_json(folder / OPTIMISER, told)


def load_optimiser(folder: Path, optimiser: Optimizer, scheduler: LRScheduler) -> None:
    """Take the state that a folder holds, bit for bit.

    Raises:
        RunError: it is damaged, or another optimiser's; nothing was taken.
    """
    groups, schedule = _groups(folder / OPTIMISER, optimiser, scheduler)
    with reading(folder / MOMENTS):
        state = _state(folder / MOMENTS, load_file(folder / MOMENTS), optimiser)
        optimiser.load_state_dict({"state": state, "param_groups": groups})
        scheduler.load_state_dict(schedule)


def _groups(file: Path, optimiser: Optimizer, scheduler: LRScheduler) -> tuple[list[dict], dict[str, Any]]:
    with reading(file):
        told = read_json(file, LARGEST)
    own, schedule = optimiser.state_dict()["param_groups"], scheduler.state_dict()
    if not is_alike(told, {"format": FORMAT, "groups": own, "scheduler": schedule}) or told["format"] != FORMAT:
        raise damaged(file, "is not of this optimiser and its schedule")
    if [group["params"] for group in told["groups"]] != [group["params"] for group in own]:
        raise damaged(file, "is of other weights than the model trains")
    pairs = zip(told["groups"], own, strict=True)
    return [{key: _cast(value, mine[key]) for key, value in group.items()} for group, mine in pairs], told["scheduler"]


def _cast(value: Any, own: Any) -> Any:
    return tuple(value) if isinstance(own, tuple) else value


def _state(file: Path, tensors: Mapping[str, Tensor], optimiser: Optimizer) -> dict[int, dict[str, Tensor]]:
    """Number of the parameter → its state. Raises RunError where it does not fit."""
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        number, _, what = name.partition(".")
        parameter = parameters[int(number)] if number.isdecimal() and int(number) < len(parameters) else None
        if parameter is None or value.shape != (torch.Size() if what == STEP else parameter.shape):
            raise damaged(file, f"has a {name} that is of other weights than the model trains")
        state.setdefault(int(number), {})[what] = value
    wanted = {STEP, "exp_avg", "exp_avg_sq"}
    amsgrad = any(group["amsgrad"] for group in optimiser.param_groups)
    if any(own.keys() != wanted | ({"max_exp_avg_sq"} if amsgrad else set()) for own in state.values()):
        raise damaged(file, "lacks a moment")
    return state


def _is_whole() -> bool:
    """Whether the moments are whole on every rank."""
    return dist.in_use() == "ddp"
