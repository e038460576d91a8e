"""The figures of docs/sizing.md and docs/recipes.md are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

from sdar_cli.recipe.estimate import ONE, Processes
from sdar_cli.recipe.gpus import GIB, GPUS
from sdar_cli.recipe.load import load_recipe
from sdar_cli.recipe.memory import memory

COLUMNS = (
    ((), ONE),
    (("model.lora={}",), ONE),
    (("model.lora.quantise=nf4",), ONE),
    ((), Processes(8)),
    ((), Processes(8, "fsdp2")),
    ((), Processes(8, "zero3")),
)


def test_the_table_of_memory(repository: Path) -> None:
    page = (repository / "docs" / "sizing.md").read_text()
    rows = re.findall(r"^\| (qwen\S+) \| (.*) \|$", page, re.M)
    assert [name for name, _ in rows] == ["qwen3-1.7b", "qwen2.5-3b", "qwen2.5-7b"]
    for name, cells in rows:
        found = []
        for overrides, processes in COLUMNS:
            recipe = load_recipe(f"alfworld-{name}", overrides=overrides, check_environment=False).recipe
            found.append(f"{memory(recipe, processes).peak / GIB:.0f}")
        assert cells.split(" | ") == found, name


def test_the_table_of_the_recipes_page(repository: Path) -> None:
    page = (repository / "docs" / "recipes.md").read_text()
    rows = re.findall(r"^\| (Qwen\S+) \| (\d+) GiB \| (\d+) GiB \|$", page, re.M)
    assert len(rows) == 3
    for name, *cells in rows:
        for cell, (overrides, processes) in zip(cells, COLUMNS[:2], strict=True):
            recipe = load_recipe(f"alfworld-{name.lower()}", overrides=overrides, check_environment=False).recipe
            assert cell == f"{memory(recipe, processes).peak / GIB:.0f}"


def test_every_gpu_is_named(repository: Path) -> None:
    page = (repository / "docs" / "sizing.md").read_text()
    assert all(f"`{name}`" in page for name in GPUS)
