"""Floating-point operations that a model's mathematics asks for, and what GPUs can do."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from sdar_cli.recipe.shapes import Shape

PEAKS = {
    "B200": 2250e12,
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "A10": 125e12,
    "RTX 4090": 165e12,
    "RTX 3090": 71e12,
}
"""Part of a device's name → dense bfloat16 operations a second, as published; the first that fits counts."""


def forward(shape: Shape, sequences: Iterable[tuple[int, int]]) -> float:
    """Operations of one pass over causal sequences, each a length and the number of positions that need the head."""
    total = 0.0
    for length, asked in sequences:
        total += 2 * shape.layers * shape.linear * length
        total += 4 * shape.layers * shape.inner * length * (length + 1) / 2
        total += 2 * shape.head * asked
    return total


def peak(device: torch.device) -> tuple[float, str]:
    """Operations a second, and where the number comes from; a fast matrix product where nothing is published."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        for part, rate in PEAKS.items():
            if part in name:
                return rate, f"published for {name}, dense bfloat16"
    return matrix_product(device), "the fastest matrix product seen here"


def matrix_product(device: torch.device) -> float:
    from gpu.clock import seconds

    cuda = device.type == "cuda"
    side = 8192 if cuda else 512
    left = torch.randn(side, side, device=device, dtype=torch.bfloat16 if cuda else torch.float32)
    times = [seconds(lambda: left @ left, device) for _ in range(10)]
    return 2 * side**3 / min(times)
