"""Seconds of work that a device does behind the program's back."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch


def seconds(work: Callable[[], Any], device: torch.device) -> float:
    settle(device)
    start = time.perf_counter()
    work()
    settle(device)
    return time.perf_counter() - start


def settle(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Stopwatch:
    """A function that adds up the seconds of its calls."""

    def __init__(self, work: Callable[..., Any], device: torch.device) -> None:
        self.work, self.device, self.total = work, device, 0.0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        answers: list[Any] = []
        self.total += seconds(lambda: answers.append(self.work(*args, **kwargs)), self.device)
        return answers[0]
