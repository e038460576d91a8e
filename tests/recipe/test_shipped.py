"""Every shipped recipe parses, and none is forgotten. The paper's own are held by test_paper_recipes.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdar_cli.errors import RecipeError
from sdar_cli.recipe.load import load_recipe, shipped_folder, shipped_recipes

PAGE = Path(__file__).resolve().parents[2] / "docs" / "recipes.md"
SMALL = ("alfworld-tiny", "household-claims", "quickstart", "search-qa-tiny", "webshop-tiny")
PAPER = [
    f"{benchmark}-{model}"
    for benchmark in ("alfworld", "search-qa", "webshop")
    for model in ("qwen2.5-3b", "qwen2.5-7b", "qwen3-1.7b")
]


def test_the_list_of_recipes() -> None:
    assert shipped_recipes() == sorted([*SMALL, *PAPER])


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_recipe_parses_with_its_environment(name: str) -> None:
    recipe = load_recipe(name).recipe
    assert recipe.name == name
    assert recipe.description


@pytest.mark.parametrize("base", ["paper", "alfworld", "search-qa", "webshop"])
def test_a_base_is_no_recipe_to_train(base: str) -> None:
    """It has no model of its own, and stands in no list."""
    assert (shipped_folder() / "base" / f"{base}.yaml").is_file()
    assert f"base/{base}" not in shipped_recipes() and base not in shipped_recipes()
    with pytest.raises(RecipeError):
        load_recipe(f"base/{base}", check_environment=False)


@pytest.mark.parametrize("name", SMALL)
def test_small_recipes_need_nothing_from_outside(name: str) -> None:
    recipe = load_recipe(name, check_environment=False).recipe
    assert recipe.model.tiny is not None and recipe.model.path is None
    assert recipe.engine.kind == "hf" and recipe.model.dtype == "float32"
    assert recipe.seed == 0 and recipe.method == "sdar"
    assert recipe.tracking.uri is None


def rows_of_the_page() -> dict[str, dict[str, str]]:
    """Recipe → its row in a table of docs/recipes.md, by column."""
    found, columns = {}, []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if cells and cells[0] == "recipe":
            columns = cells
        elif cells and columns and cells[0].startswith("`"):
            found[cells[0].strip("`")] = dict(zip(columns, cells, strict=True))
        elif not cells:
            columns = []
    return found


@pytest.mark.parametrize("name", shipped_recipes())
def test_the_page_says_what_the_recipe_does(name: str) -> None:
    recipe, row = load_recipe(name, check_environment=False).recipe, rows_of_the_page()[name]
    rollout = recipe.rollout
    assert row["tasks × group"] == f"{rollout.tasks} × {rollout.group}"
    assert row["turns"] == str(rollout.max_turns)
    assert row["prompt / response tokens"] == f"{rollout.max_prompt_tokens} / {rollout.max_response_tokens}"
    assert (row["KL"], row["penalty"]) == (f"{recipe.policy.kl_coef:g}", f"{rollout.invalid_action_penalty:g}")
    assert row["rows an update"] == str(recipe.optimiser.rows_per_update or "all")
    assert row["λ, β"] == f"{recipe.distill.coef:g}, {recipe.gate.beta:g}"
    assert row.get("model", recipe.model.path) == recipe.model.path
    assert row.get("environment", recipe.environment.name).split(",")[0] == recipe.environment.name


def test_the_page_lists_no_recipe_that_is_not_there() -> None:
    assert set(rows_of_the_page()) == set(shipped_recipes())
