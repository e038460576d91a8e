"""Tensors too many for one process to hold, in safetensors files of a bounded size, written and read one at a time.

A key is a name and what of it: ``model.norm.weight:exp_avg`` in ``parameters-0001.safetensors``, and so on.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from sdar_cli.reading import open_regular
from sdar_cli.training.checkpoints.damaged import damaged, reading

if TYPE_CHECKING:
    from torch import Tensor

LIMIT = 1024**3
"""Bytes of a file; one tensor may be larger, and has a file of its own then."""
STEM = "parameters"
_DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


class TensorWriter:
    """Holds no more than one file's tensors.

    Args:
        folder: must exist.
    """

    def __init__(self, folder: Path, limit: int = LIMIT) -> None:
        self._folder = folder
        self._limit = limit
        self._held: dict[str, Tensor] = {}
        self._bytes = 0
        self._files = 0

    def add(self, name: str, kind: str, tensor: Tensor) -> None:
        if self._held and self._bytes + tensor.nbytes > self._limit:
            self.flush()
        self._held[f"{name}:{kind}"] = tensor.detach().cpu().contiguous().clone()
        self._bytes += tensor.nbytes

    def flush(self) -> None:
        """Write what is held; to be called at the end."""
        if not self._held:
            return
        self._files += 1
        save_file(self._held, self._folder / f"{STEM}-{self._files:04}.safetensors")
        self._held, self._bytes = {}, 0


class TensorReader:
    """Shapes and dtypes of all tensors of a folder; their content when it is asked for.

    Raises:
        RunError: a file is damaged, or there is none.
    """

    def __init__(self, folder: Path) -> None:
        self.shapes: dict[tuple[str, str], tuple[int, ...]] = {}
        """(name, kind) → shape."""
        self.dtypes: dict[tuple[str, str], torch.dtype | None] = {}
        """None: one that no optimiser has."""
        self.kinds: dict[str, set[str]] = {}
        """Name → what there is of it."""
        self._files: dict[tuple[str, str], Path] = {}
        files = sorted(folder.glob(f"{STEM}-*.safetensors"))
        if not files:
            raise damaged(folder / f"{STEM}-0001.safetensors", "does not exist")
        for file in files:
            with reading(file):
                open_regular(file).close()
            with reading(file), safe_open(file, framework="pt") as tensors:
                for key in tensors.keys():  # noqa: SIM118 it is no mapping
                    name, _, kind = key.rpartition(":")
                    if (name, kind) in self.shapes:
                        raise ValueError(f"{key} is in two files")
                    about = tensors.get_slice(key)
                    self.shapes[name, kind] = tuple(about.get_shape())
                    self.dtypes[name, kind] = _DTYPES.get(about.get_dtype())
                    self.kinds.setdefault(name, set()).add(kind)
                    self._files[name, kind] = file

    def file(self, name: str, kind: str) -> Path:
        return self._files[name, kind]

    def read(self, name: str, kind: str) -> Tensor:
        """On the CPU."""
        file = self._files[name, kind]
        with reading(file), safe_open(file, framework="pt") as tensors:
            return tensors.get_tensor(f"{name}:{kind}")
