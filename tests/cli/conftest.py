from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

TOY = """
from sdar_envs import base


class Toy(base.Environment):
    name = "toy"

    class Options(base.Options):
        data: str | None = None

    def tasks(self, split):
        return [base.Task(id=f"{split}-{number}", task_type="only") for number in range(200)]

    def reset(self, task):
        return base.Observation("a room")

    def step(self, action):
        return base.Step(base.Observation("done"), 1.0, True, True)

    def parse(self, response):
        return base.Action(response)

    def prompt(self, history):
        return [{"role": "user", "content": "act"}]
"""

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
