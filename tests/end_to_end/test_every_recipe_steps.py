"""Every shipped recipe, taken to its first optimiser step and through its report.

Recipes that make their own tiny model are warmed up for a moment; the others get a random Qwen3 in a local
folder, with Qwen3's own chat template, and otherwise stay as they are but for size: tasks, group, turns,
response length, steps, and the engine (``hf``, as there is no GPU). The official data cannot be fetched here,
so games, products and questions are generated in its place, which renames ALFWorld's held-out split.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from short_sdar import Sdar, steps_of
from tiny_qwen3 import save_qwen3

from sdar_cli.recipe.load import load_recipe, shipped_recipes
from sdar_cli.recipe.schema import Recipe
from sdar_cli.runs.store import RunFolder

SMALL = (
    "rollout.tasks=1",
    "rollout.group=2",
    "rollout.max_turns=2",
    "rollout.max_response_tokens=4",
    "train.steps=1",
    "evaluation.tasks=2",
)
GAMES = (
    "environment.options.games=generated",
    "environment.options.train=2",
    "environment.options.test=2",
    "environment.options.receptacles=4",
    "environment.options.things=3",
    "environment.options.max_expert_turns=10",
    "environment.workers=1",
    "evaluation.split=test",
)

PRODUCTS = (
    "environment.options.products=generated",
    "environment.options.size=60",
    "environment.options.test=8",
)
QUESTIONS = (
    "environment.options.questions=generated",
    "environment.options.retriever=bm25",
    "environment.options.entities=5",
    "environment.options.train=16",
    "environment.options.test=4",
)
DATA = {"alfworld": GAMES, "webshop": PRODUCTS, "search-qa": QUESTIONS}


def recipe_of(name: str) -> Recipe:
    return load_recipe(name, check_environment=False).recipe


def cases() -> list[object]:
    engine = [
        pytest.mark.engine,
        pytest.mark.skipif(importlib.util.find_spec("alfworld") is None, reason="the alfworld extra is not installed"),
    ]
    return [
        pytest.param(name, marks=engine if recipe_of(name).environment.name == "alfworld" else [])
        for name in shipped_recipes()
    ]


@pytest.fixture(scope="module")
def qwen3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_qwen3(tmp_path_factory.mktemp("qwen3"))


def overrides(recipe: Recipe, qwen3: Path) -> list[str]:
    words = [*SMALL, "engine.kind=hf", *DATA.get(recipe.environment.name, ())]
    if recipe.model.tiny is None:
        return [*words, "--model", str(qwen3)]
    return [*words, "warmup.demonstrations=8", "warmup.required_success=0"]


@pytest.mark.parametrize("name", cases())
def test_first_step(sdar: Sdar, qwen3: Path, name: str) -> None:
    recipe = recipe_of(name)
    done = sdar("train", "--recipe", name, *overrides(recipe, qwen3), "--name", f"step-{name}", "--json")
    assert done.code == 0, done.err
    run = RunFolder.open(sdar.root / f"step-{name}")
    (step,) = steps_of(run)
    assert step["optim/updates"] >= 1 and step["optim/rows"] >= 2
    assert step["rollout/episodes"] == 2.0 and step["rollout/stop/environment_error"] == 0.0
    first = 0.0 if recipe.optimiser.warmup_ratio else recipe.optimiser.learning_rate
    assert step["optim/learning_rate"] == pytest.approx(first)
    assert step["teacher/task_skill_fraction"] == 1.0 and step["gap/std"] > 0.0
    assert step["loss/distill"] != 0.0
    assert [checkpoint.step for checkpoint in run.checkpoints()] == [1]
    used = run.recipe()
    assert (used.distill, used.gate, used.policy, used.teacher) == (
        recipe.distill,
        recipe.gate,
        recipe.policy,
        recipe.teacher,
    )
