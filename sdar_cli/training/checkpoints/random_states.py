"""The random states of a process as JSON: Python's, NumPy's, torch's and its device's."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sdar_cli.evaluation.files import write_json
from sdar_cli.reading import read_json
from sdar_cli.training.checkpoints.damaged import LARGEST, reading


def save_random_states(path: Path) -> None:
    version, words, gauss = random.getstate()
    kind, keys, place, has_gauss, cached = np.random.get_state()
    told: dict[str, Any] = {
        "python": [version, list(words), gauss],
        "numpy": [kind, keys.tolist(), place, has_gauss, cached],
        "torch": _text(torch.get_rng_state()),
    }
    if torch.cuda.is_available():
        told["cuda"] = _text(torch.cuda.get_rng_state())
    write_json(path, told)


def load_random_states(path: Path) -> None:
    """
    Raises:
        RunError: the file is damaged; all states are as they were.
    """
    with reading(path):
        told = read_json(path, LARGEST)
        version, words, gauss = told["python"]
        kind, keys, place, has_gauss, cached = told["numpy"]
        before = random.getstate(), np.random.get_state(), torch.get_rng_state()
        try:
            random.setstate((version, tuple(words), gauss))
            np.random.set_state((kind, np.array(keys, dtype=np.uint32), place, has_gauss, cached))
            torch.set_rng_state(_bytes(told["torch"]))
            if "cuda" in told and torch.cuda.is_available():
                torch.cuda.set_rng_state(_bytes(told["cuda"]))
        except BaseException:
            random.setstate(before[0])
            np.random.set_state(before[1])
            torch.set_rng_state(before[2])
            raise


def _text(state: torch.Tensor) -> str:
    return bytes(state.tolist()).hex()


def _bytes(text: str) -> torch.Tensor:
    return torch.tensor(list(bytes.fromhex(text)), dtype=torch.uint8)
