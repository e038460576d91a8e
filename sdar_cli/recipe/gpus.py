"""GPUs as estimates see them: memory, arithmetic, bandwidth, from the makers' data sheets."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sdar_cli.errors import UserError

GIB = 2**30


@dataclass(frozen=True, slots=True)
class Gpu:
    name: str
    memory: int
    """Bytes."""
    bfloat16: float | None = None
    """Dense FLOP a second, at most."""
    float32: float | None = None
    """The same outside tensor cores, as torch computes unless told otherwise."""
    bandwidth: float | None = None
    """Bytes a second between memory and processor."""

    def peak(self, size: int) -> float | None:
        """FLOP a second with values of so many bytes."""
        return self.bfloat16 if size == 2 else self.float32


_TABLE = {
    "b200": (179.1, 2250, 75, 7700),
    "h200": (140.4, 989, 67, 4800),
    "h100": (79.6, 989, 67, 3350),
    "h100-pcie": (79.6, 756, 51, 2000),
    "a100-80": (80.0, 312, 19.5, 2039),
    "a100-40": (40.0, 312, 19.5, 1555),
    "l40s": (45.0, 362, 91.6, 864),
    "a6000": (48.0, 154.8, 38.7, 768),
    "l4": (22.5, 121, 30.3, 300),
    "a10": (22.5, 125, 31.2, 600),
    "5090": (31.8, 209.5, 104.8, 1792),
    "4090": (24.0, 165.2, 82.6, 1008),
    "3090": (24.0, 71, 35.6, 936),
}
"""GiB that its tools show, TFLOP/s in bfloat16 (dense) and float32, GB/s."""

GPUS = {
    name: Gpu(name, int(memory * GIB), bf16 * 1e12, fp32 * 1e12, bandwidth * 1e9)
    for name, (memory, bf16, fp32, bandwidth) in _TABLE.items()
}


def find_gpu(name: str | None, memory: str | None) -> Gpu | None:
    """A GPU by its name, by its memory alone, or by both, the memory then being another than the table's.

    Raises:
        UserError: the name is not in the table, or the memory is no size.
    """
    if name is None and memory is None:
        return None
    if name is None:
        return Gpu(f"a GPU of {memory}", read_size(memory))
    key = "-".join(re.split(r"[\s_-]+", name.strip().lower()))
    for maker in ("nvidia-", "geforce-", "rtx-"):
        key = key.removeprefix(maker)
    if key == "a100":
        raise UserError("--gpu a100 is one of two: write a100-40 or a100-80")
    if key not in GPUS:
        raise UserError(f"--gpu {name!r} is not in the table: choose {', '.join(GPUS)}, or give --gpu-memory 80G")
    known = GPUS[key]
    if memory is None:
        return known
    return Gpu(known.name, read_size(memory), known.bfloat16, known.float32, known.bandwidth)


def read_size(text: str) -> int:
    """``80G``, ``80GiB`` or ``40960M`` as bytes; units are those of 1024, as in GPUs' tools.

    Raises UserError where it is none of these.
    """
    match = re.fullmatch(r"\s*(\d{1,6}(?:\.\d{1,3})?)\s*([GM])(?:i?B)?\s*", text, re.IGNORECASE)
    if match is None or float(match[1]) == 0:
        raise UserError(f"--gpu-memory {text!r} is no size: write for example 80G")
    return int(float(match[1]) * (GIB if match[2] in "gG" else 2**20))


def named_like(text: str) -> Gpu | None:
    """The table's GPU that a driver's name is of: ``NVIDIA H100 80GB HBM3`` is ``h100``."""
    words = text.lower().replace("-", " ").replace("_", " ").split()
    if "a100" in words or any(word.startswith("a100") for word in words):
        return GPUS["a100-80" if "80gb" in text.lower().replace(" ", "") else "a100-40"]
    if "h100" in words and "pcie" in words:
        return GPUS["h100-pcie"]
    return next((gpu for key, gpu in GPUS.items() if key in words), None)
