from __future__ import annotations

import json
from pathlib import Path

import pytest

from sdar_cli.recipe.estimate import memory, tokens_per_step
from sdar_cli.recipe.load import load_recipe
from sdar_cli.recipe.schema import Model
from sdar_cli.recipe.shapes import model_shape


@pytest.mark.parametrize(
    ("path", "billions"),
    [("Qwen/Qwen3-1.7B", 1.720), ("Qwen/Qwen2.5-3B-Instruct", 3.086), ("Qwen/Qwen2.5-7B-Instruct", 7.615)],
)
def test_known_models_have_their_published_size(path: str, billions: float) -> None:
    shape = model_shape(Model(path=path))
    assert shape is not None
    assert shape.parameters / 1e9 == pytest.approx(billions, rel=1e-3)


def test_a_local_folder_tells_its_own_shape(tmp_path: Path) -> None:
    config = {
        "num_hidden_layers": 2,
        "hidden_size": 8,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "vocab_size": 100,
        "tie_word_embeddings": True,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    shape = model_shape(Model(path=str(tmp_path)))
    assert shape is not None
    assert shape.parameters == 2 * (4 * 8 * 8 + 3 * 8 * 16) + 100 * 8
    assert shape.lora_parameters(4) == 2 * 4 * (4 * 16 + 3 * 24)


@pytest.mark.parametrize("content", ["{}", "[", "3"])
def test_an_unknown_shape_is_no_estimate(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    assert model_shape(Model(path=str(tmp_path))) is None
    assert model_shape(Model(path="some/thing")) is None


def _amounts(*overrides: str) -> dict[str, int]:
    resolved = load_recipe("alfworld-qwen3-1.7b", overrides=overrides, check_environment=False)
    return {part.name: part.amount for part in tokens_per_step(resolved.recipe)}


def test_tokens_of_the_released_step() -> None:
    amounts = _amounts()
    assert amounts["episodes"] == 128
    assert amounts["rows"] == 128 * 50
    assert amounts["generated tokens"] == 128 * 50 * 512
    assert amounts["trained tokens"] == amounts["teacher tokens"] == 128 * 50 * 2560
    assert amounts["optimiser updates"] == 25
    assert "teacher tokens" not in _amounts("method=grpo")
    assert _amounts("rollout.context=full")["rows"] == 128


def test_memory_follows_what_is_trained() -> None:
    def parts(*overrides: str) -> dict[str, int]:
        recipe = load_recipe("alfworld-qwen3-1.7b", overrides=overrides, check_environment=False).recipe
        found = memory(recipe)
        assert found is not None
        return {part.name: part.amount for part in found}

    full, lora = parts(), parts("model.lora={}")
    assert full["weights"] == full["gradients"] == full["optimiser"] / 2 == full["reference model"]
    assert lora["weights"] == full["weights"]
    assert lora["gradients"] < full["gradients"] / 20
    assert "reference model" not in lora, "the reference is the base with the adapter off"
    assert "reference model" not in parts("policy.kl_coef=0")
    assert parts("model.gradient_checkpointing=false")["activations"] > 5 * full["activations"]
    single = parts("model.dtype=float32")
    assert single["weights"] == full["weights"] == 2 * full["weights in bfloat16"]
    assert "weights in bfloat16" not in single
