"""The optimiser's state where it lies in parts on the ranks (FSDP2, ZeRO-3), whole in the checkpoint: no pickles.

    training/parameters-NNNN.safetensors   of each parameter by its name: ``weight`` as it is stepped, and its moments
    training/optimiser.json                groups, names of what has moments, the schedule of the learning rate,
                                           DeepSpeed's counters

Parts are put together one tensor at a time, on every rank; rank 0 holds those of one file. When a run goes on, each
rank reads all tensors, one at a time, and keeps its part: no rank waits for another, and there may be more of them, or
fewer, than there were. Nothing is taken before names, shapes and dtypes of all were seen to fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch

from sdar_cli.evaluation.files import write_json
from sdar_cli.reading import read_json
from sdar_cli.training import ranks
from sdar_cli.training.checkpoints.damaged import LARGEST, damaged, is_alike, reading
from sdar_cli.training.checkpoints.divided_file import LIMIT, TensorReader, TensorWriter

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim.lr_scheduler import LRScheduler

OPTIMISER = "optimiser.json"
FORMAT = 2
"""1 is that of moments that are whole on every rank."""
WEIGHT, STEP = "weight", "step"


class Parts(Protocol):
    """This rank's part of what the optimiser steps."""

    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Name → shape of the whole parameter; on every rank in one order."""

    def dtype(self, name: str) -> torch.dtype:
        """Of its weight as it is stepped, and of its moments."""

    def groups(self) -> Sequence[dict[str, Any]]:
        """The optimiser's settings, as its own; ``params`` are names."""

    def set_groups(self, groups: Sequence[Mapping[str, Any]]) -> None:
        """Plain data of the same make, lists for tuples."""

    def counters(self) -> dict[str, int]: ...

    def set_counters(self, counters: Mapping[str, int]) -> None: ...

    def kinds(self, name: str) -> Sequence[str]:
        """What there is of a parameter: its weight; once it was stepped, ``step`` and its moments."""

    def whole(self, name: str, kind: str) -> Tensor:
        """Every rank must ask."""

    def put(self, name: str, kind: str, whole: Tensor) -> None:
        """Keep this rank's part; no rank waits for another."""

    def finish(self) -> None:
        """After all were put, on every rank."""


def save_divided(folder: Path, parts: Parts, scheduler: LRScheduler, limit: int = LIMIT) -> None:
    """Write a folder, which rank 0 makes; every rank must call."""
    main = ranks.is_main()
    if main:
        folder.mkdir(parents=True, exist_ok=True)
    writer = TensorWriter(folder, limit)
    for name in parts.shapes():
        for kind in parts.kinds(name):
            whole = parts.whole(name, kind)
            if main:
                writer.add(name, kind, whole)
            del whole
    if main:
        writer.flush()
        stepped = [name for name in parts.shapes() if STEP in parts.kinds(name)]
        write_json(folder / OPTIMISER, {"format": FORMAT, "stepped": stepped} | _about(parts, scheduler))


def load_divided(folder: Path, parts: Parts, scheduler: LRScheduler) -> None:
    """Take the state that a folder holds, bit for bit; every rank must call.

    Raises:
        RunError: it is damaged, or another optimiser's, on every rank; nothing was taken.
    """
    told, tensors = ranks.together(lambda: _checked(folder, parts, scheduler))
    ranks.together(lambda: _put_all(tensors, parts))
    parts.set_groups(told["groups"])
    parts.set_counters(told["counters"])
    scheduler.load_state_dict(told["scheduler"])
    parts.finish()


def _put_all(tensors: TensorReader, parts: Parts) -> None:
    for name, kind in tensors.shapes:
        parts.put(name, kind, tensors.read(name, kind))


def _checked(folder: Path, parts: Parts, scheduler: LRScheduler) -> tuple[dict[str, Any], TensorReader]:
    file = folder / OPTIMISER
    with reading(file):
        told = read_json(file, LARGEST)
    own = {"format": FORMAT, "stepped": []} | _about(parts, scheduler)
    stepped = told.get("stepped") if isinstance(told, dict) else None
    if not isinstance(stepped, list) or not is_alike(told | {"stepped": []}, own) or told["format"] != FORMAT:
        raise damaged(file, "is not of this optimiser and its schedule")
    if [group["params"] for group in told["groups"]] != [group["params"] for group in own["groups"]]:
        raise damaged(file, "is of other weights than the model trains")
    tensors = TensorReader(folder)
    shapes = parts.shapes()
    if not all(isinstance(name, str) and name in shapes for name in stepped):
        raise damaged(file, "tells moments of other weights than the model trains")
    for (name, kind), shape in tensors.shapes.items():
        if name not in shapes or shape != (() if kind == STEP else shapes[name]):
            what = f"has a {name}:{kind} that is of other weights than the model trains"
            raise damaged(tensors.file(name, kind), what)
        if tensors.dtypes[name, kind] != (torch.float32 if kind == STEP else parts.dtype(name)):
            what = f"has a {name}:{kind} of numbers that the optimiser does not have"
            raise damaged(tensors.file(name, kind), what)
    having = set(stepped)
    for group in own["groups"]:
        full = {WEIGHT, STEP, "exp_avg", "exp_avg_sq"} | ({"max_exp_avg_sq"} if group["amsgrad"] else set())
        for name in group["params"]:
            if tensors.kinds.get(name) != (full if name in having else {WEIGHT}):
                raise damaged(folder, f"does not have what there is to be of {name}")
    return told, tensors


def _about(parts: Parts, scheduler: LRScheduler) -> dict[str, Any]:
    return {"groups": parts.groups(), "scheduler": scheduler.state_dict(), "counters": parts.counters()}
