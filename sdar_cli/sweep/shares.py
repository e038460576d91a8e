"""What each of several runs gets of this machine: one GPU, and some of the processors."""

from __future__ import annotations

import os
from pathlib import Path

DEVICES = Path("/dev")


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is None:
        # Those of this container: the driver's own list, in /proc, is the whole machine's.
        nodes = [path for path in DEVICES.glob("nvidia[0-9]*") if path.name[6:].isdigit() and os.access(path, os.R_OK)]
        return [str(number) for number in range(len(nodes))]
    words = [word.strip() for word in given.split(",") if word.strip()]
    return words[: words.index("-1")] if "-1" in words else words


def gpu_of(place: int) -> str | None:
    """The GPU of the run at a place, in turn, as a run uses one; None where there is no choice."""
    gpus = visible_gpus()
    return gpus[place % len(gpus)] if len(gpus) > 1 else None


def threads_of(jobs: int) -> int | None:
    """A run's share of the processors, where several run and nothing else is said."""
    if jobs == 1 or "OMP_NUM_THREADS" in os.environ:
        return None
    return max(1, len(os.sched_getaffinity(0)) // jobs)
