from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from toy_environment import TOY

Sdar = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def sdar(tmp_path: Path) -> Sdar:
    """Runs the real command line in a process of its own, in a fresh folder."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "sdar_cli.cli.main", *words]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120)

    return run


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A recipe on an environment in a file; ``toy.yaml`` in the folder that ``sdar`` runs in."""
    (tmp_path / "toy.py").write_text(TOY)
    path = tmp_path / "toy.yaml"
    path.write_text("name: toy\nenvironment: toy.py:Toy\nmodel: {path: nowhere}\nmethod: grpo\n")
    return path
