from __future__ import annotations

from pathlib import Path

import pytest
from toy_environment import TOY

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
