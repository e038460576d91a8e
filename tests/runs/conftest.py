from __future__ import annotations

from pathlib import Path

import pytest

from sdar_cli.recipe.load import ResolvedRecipe, load_recipe
from sdar_cli.runs.store import RunFolder


@pytest.fixture(scope="session")
def resolved() -> ResolvedRecipe:
    return load_recipe("quickstart", overrides=["train.steps=7"])


@pytest.fixture
def run(tmp_path: Path, resolved: ResolvedRecipe) -> RunFolder:
    return RunFolder.create(tmp_path / "runs", resolved)
