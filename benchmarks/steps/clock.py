"""CPU time on a CPU, which a busy machine disturbs little; time on the clock where a GPU works."""

from __future__ import annotations

import time

import torch


def now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()
