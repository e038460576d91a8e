"""Every shipped recipe parses; the released settings are where the page of the method says they are."""

from __future__ import annotations

from typing import Any

import pytest

from sdar_cli.recipe.layers import leaves
from sdar_cli.recipe.load import DEFAULT, load_recipe, shipped_folder, shipped_recipes

RELEASED_ALFWORLD: dict[str, Any] = {
    "method": "sdar",
    "rollout.tasks": 16,
    "rollout.group": 8,
    "evaluation.tasks": 128,
    "evaluation.every": 5,
    "evaluation.sampling.temperature": 0.4,
    "rollout.max_prompt_tokens": 2048,
    "rollout.max_response_tokens": 512,
    "rollout.max_turns": 50,
    "rollout.history": 2,
    "rollout.context": "window",
    "policy.kl_coef": 0.01,
    "rollout.invalid_action_penalty": 0.1,
    "rollout.penalise": "format",
    "optimiser.rows_per_update": 256,
    "optimiser.learning_rate": 1e-6,
    "train.steps": 150,
    "distill.coef": 0.01,
    "gate.kind": "gap",
    "gate.beta": 5.0,
    "teacher.kind": "live",
    "skills.retrieval": "task_type",
    "rollout.sampling.temperature": 1.0,
    "rollout.sampling.top_p": 1.0,
    "rollout.sampling.top_k": 0,
    "policy.clip": 0.2,
    "policy.dual_clip": 3.0,
    "policy.aggregation": "token_mean",
    "policy.epochs": 1,
    "policy.entropy_coef": 0.001,
    "optimiser.weight_decay": 0.01,
    "optimiser.max_grad_norm": 1.0,
    "optimiser.schedule": "constant",
    "optimiser.warmup_ratio": 0.0,
    "model.template_kwargs.enable_thinking": False,
    "model.path": "Qwen/Qwen3-1.7B",
    "model.lora": None,
    "environment.name": "alfworld",
    "environment.options.games": "official",
    "engine.kind": "vllm",
    "engine.mode": "colocate",
    "warmup": None,
}


def test_the_list_of_recipes() -> None:
    assert shipped_recipes() == ["alfworld-qwen3-1.7b", "alfworld-tiny", "household-claims", "quickstart"]


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_recipe_parses_with_its_environment(name: str) -> None:
    recipe = load_recipe(name).recipe
    assert recipe.name == name
    assert recipe.description


@pytest.mark.parametrize("key", RELEASED_ALFWORLD)
def test_released_settings(key: str) -> None:
    values = dict(leaves(load_recipe("alfworld-qwen3-1.7b", check_environment=False).recipe.model_dump()))
    assert values[key] == RELEASED_ALFWORLD[key]


def test_released_settings_are_written_down_and_not_left_to_defaults() -> None:
    origins = load_recipe("alfworld-qwen3-1.7b", check_environment=False).origins
    unsaid = [
        "policy.entropy_coef",
        "optimiser.warmup_ratio",
        *(set(RELEASED_ALFWORLD) - {"warmup", "model.lora"}),
    ]
    assert [key for key in unsaid if origins[key] == DEFAULT] == []


def test_the_base_is_complete_for_its_heir_alone() -> None:
    """``base/paper`` has no model of its own: it is a base, not a recipe to train."""
    assert (shipped_folder() / "base" / "paper.yaml").is_file()
    assert "base/paper" not in shipped_recipes()


@pytest.mark.parametrize("name", ["quickstart", "household-claims", "alfworld-tiny"])
def test_small_recipes_need_nothing_from_outside(name: str) -> None:
    recipe = load_recipe(name, check_environment=False).recipe
    assert recipe.model.tiny is not None and recipe.model.path is None
    assert recipe.engine.kind == "hf" and recipe.model.dtype == "float32"
    assert recipe.seed == 0 and recipe.method == "sdar"
    assert recipe.tracking.uri is None
