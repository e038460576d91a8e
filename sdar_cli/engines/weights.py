"""The policy's weights on their way to an engine: as TRL walks them, and as a folder that servers can read."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sdar_cli.errors import RunFailed
from sdar_cli.models.merge import merged_weight
from sdar_cli.models.quantised import whole
from sdar_cli.training.sharded import lies_in_parts

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from sdar_cli.training.trainer import SDARTrainer

SHARD = 4 << 30
"""Bytes of a file, roughly."""

KEPT = 2
"""Versions that stay on disk: a server that was restarted may still read the one before."""


class Source(Protocol):
    """The policy, seen from an engine. Its weights may be spread over ranks, which then walk them together."""

    whole: bool
    """Whether every rank has all weights by itself."""
    lora: bool

    def named(self) -> Iterable[tuple[str, Tensor]]:
        """Every weight under the name that vLLM expects, adapters merged; all ranks must walk to the end."""

    def frozen(self) -> Iterable[tuple[str, Tensor]]:
        """The weights under an adapter, under the names that vLLM expects."""

    def adapter(self) -> Iterable[tuple[str, Tensor]]:
        """An adapter's own weights, B times the scaling, under vLLM's names."""

    def save_adapter(self, folder: Path) -> None: ...


class ModelSource:
    """A model that is whole on every rank."""

    whole = True

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self.lora = hasattr(model, "peft_config")

    def named(self) -> Iterator[tuple[str, Tensor]]:
        import torch

        with torch.no_grad():
            yield from self._merged() if self.lora else self.frozen()

    def frozen(self) -> Iterator[tuple[str, Tensor]]:
        for name, parameter in self.model.named_parameters():
            if ".lora_" not in name:
                yield _plain(name), whole(parameter).detach()

    def adapter(self) -> Iterator[tuple[str, Tensor]]:
        for name, module in self.model.named_modules():
            for own in getattr(module, "active_adapters", ()) if hasattr(module, "lora_A") else ():
                yield f"{_plain(name)}.lora_a", module.lora_A[own].weight.detach()
                yield f"{_plain(name)}.lora_b", module.lora_B[own].weight.detach() * module.scaling[own]

    def save_adapter(self, folder: Path) -> None:
        self.model.save_pretrained(folder)

    def _merged(self) -> Iterator[tuple[str, Tensor]]:
        """Base plus adapter, one tensor at a time. Peft's own merging writes into the base and takes it out again,
        which leaves a rounding error in it every time."""
        adapted = {name: module for name, module in self.model.named_modules() if hasattr(module, "lora_A")}
        for name, parameter in self.model.named_parameters():
            if ".lora_" in name:
                continue
            layer = adapted.get(name.removesuffix(".base_layer.weight"))
            if layer is not None and name.endswith(".base_layer.weight"):
                yield _plain(name), merged_weight(layer)
            else:
                yield _plain(name), whole(parameter)


class TrainerSource(ModelSource):
    """The policy of a trainer; once it is spread over ranks, it is TRL that walks it, which knows FSDP and ZeRO-3."""

    def __init__(self, trainer: SDARTrainer) -> None:
        super().__init__(trainer.accelerator.unwrap_model(trainer.model))
        self.trainer = trainer

    @property
    def whole(self) -> bool:
        """Until the training begins, and with every process's weights its own."""
        return not any(lies_in_parts(parameter) for parameter in self.model.parameters())

    def named(self) -> Iterator[tuple[str, Tensor]]:
        if self.whole:
            return super().named()
        from sdar_cli.training.trl_seam import walk_weights

        return walk_weights(self.trainer)


def _plain(name: str) -> str:
    """A parameter's or module's name without what PEFT put around it."""
    return name.removeprefix("base_model.model.").replace(".base_layer.", ".")


def write_folder(folder: Path, named: Iterable[tuple[str, Tensor]], dtype: str | None = None) -> Path:
    """Save tensors as safetensors, in files of a few GiB; the folder appears as a whole, unless it is there already:
    several ranks may be at it, with the same tensors, and a server may be reading.

    Args:
        dtype: what they are cast to; None: as they are.

    Raises:
        RunFailed: the disk does not take them. The tensors are walked to the end all the same.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    beside = folder.with_name(f"{folder.name}.{secrets.token_hex(8)}.part")
    failed: Exception | None = None
    shard: dict[str, Tensor] = {}
    written = size = 0

    def flush() -> None:
        nonlocal shard, size, written, failed
        try:
            beside.mkdir(parents=True, exist_ok=True)
            save_file(shard, beside / f"model-{written:05d}.safetensors", metadata={"format": "pt"})
        except (OSError, SafetensorError) as error:  # of a full disk too it is safetensors that speaks
            failed = error
        shard, size, written = {}, 0, written + 1

    try:
        for name, tensor in named:
            if failed is not None:
                continue
            kept = tensor.detach().to("cpu", getattr(torch, dtype) if dtype else tensor.dtype, copy=True).contiguous()
            shard[name] = kept
            size += kept.numel() * kept.element_size()
            if size >= SHARD:
                flush()
        if shard:
            flush()
        if failed is None:
            failed = _attempt(lambda: _put(beside, folder))
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    if failed is not None:
        raise _unwritten(folder, failed) from failed
    return folder


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Raises RunFailed where the disk does not take what is written within."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError) as error:
        raise _unwritten(folder, error) from error


def _unwritten(folder: Path, error: Exception) -> RunFailed:
    return RunFailed(
        f"the weights for the engine cannot be written to {folder} ({getattr(error, 'strerror', None) or error}): make "
        "room there, or name another folder that the servers see, engine.sync_folder=FOLDER"
    )


def forget_old(root: Path, pattern: str, keep: int = KEPT) -> None:
    """Remove all but the newest versions below a folder; other ranks may be at it too."""
    try:
        versions = sorted(root.glob(pattern), key=_written)
    except FileNotFoundError:  # the folder itself is gone
        return
    for path in versions[:-keep] if keep else versions:
        shutil.rmtree(path, ignore_errors=True)


def _written(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _put(beside: Path, folder: Path) -> None:
    try:
        beside.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise


def _attempt(work: Callable[[], None]) -> OSError | None:
    try:
        work()
    except OSError as error:
        return error
    return None
