from __future__ import annotations

from pathlib import Path

import pytest

TOY = """
from pydantic import Field
from sdar_envs import base


class Toy(base.Environment):
    name = "toy"

    class Options(base.Options):
        size: int = Field(default=3, gt=0)
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


class NotOne:
    pass
"""

RECIPE = """\
name: small
model: {tiny: {layers: 1}}
environment: %s:Toy
warmup: {epochs: 2.0}
"""


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a small environment, ``Toy``."""
    path = tmp_path_factory.mktemp("toy") / "toy_world.py"
    path.write_text(TOY)
    return path


@pytest.fixture(scope="session")
def recipe(toy: Path) -> Path:
    """A small recipe on it."""
    path = toy.with_name("small.yaml")
    path.write_text(RECIPE % toy)
    return path
