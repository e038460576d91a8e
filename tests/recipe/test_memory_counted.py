"""The estimate of memory against real models: what they hold is counted, tensor by tensor."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, PreTrainedModel, Qwen2Config, Qwen3Config

from sdar_cli.recipe.load import load_recipe
from sdar_cli.recipe.memory import memory
from sdar_cli.recipe.memory_passes import layer_bytes
from sdar_cli.recipe.schema import Lora, Model, Recipe
from sdar_cli.recipe.shapes import Shape, model_shape

sys.path.insert(0, str(Path(__file__).parent))

from saved_tensors import kept_bytes

ROWS, TOKENS = 2, 32
KINDS = {"qwen2": Qwen2Config, "qwen3": Qwen3Config}


def build(kind: str, layers: int, width: int = 64, size: int = 16, mlp: int = 160) -> PreTrainedModel:
    more = {"head_dim": size} if kind == "qwen3" else {}
    config = KINDS[kind](
        num_hidden_layers=layers,
        hidden_size=width,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=mlp,
        vocab_size=64,
        tie_word_embeddings=True,
        **more,
    )
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config)


def adapted(model: PreTrainedModel, rank: int) -> PreTrainedModel:
    return get_peft_model(model, LoraConfig(r=rank, target_modules="all-linear", task_type="CAUSAL_LM"))


def shape_of(model: PreTrainedModel, folder: Path) -> Shape:
    model.config.save_pretrained(folder)
    shape = model_shape(Model(path=str(folder)))
    assert shape is not None
    return shape


@pytest.mark.parametrize("rank", [None, 2, 8])
@pytest.mark.parametrize("autocast", [True, False])
@pytest.mark.parametrize(("kind", "size"), [("qwen2", 16), ("qwen3", 16), ("qwen3", 32)])
def test_a_layer_keeps_what_the_formula_says(
    tmp_path: Path, kind: str, size: int, autocast: bool, rank: int | None
) -> None:
    kept = []
    for layers in (1, 2):
        model = build(kind, layers, size=size).train()
        shape = shape_of(model, tmp_path)
        model = adapted(model, rank) if rank else model
        kept.append(kept_bytes(model, ROWS, TOKENS, autocast=autocast))
    casts = (
        2 * (shape.linear + (shape.lora_parameters(Lora(rank=rank)) // shape.layers if rank else 0)) if autocast else 0
    )
    a_token = (kept[1] - kept[0] - casts) / (ROWS * TOKENS)
    assert a_token == layer_bytes(shape, 2 if autocast else 4, rank)


@pytest.mark.parametrize("rank", [None, 4])
@pytest.mark.parametrize("autocast", [True, False])
def test_with_checkpointing_a_layer_keeps_its_input_in_float32(
    tmp_path: Path, autocast: bool, rank: int | None
) -> None:
    kept = []
    for layers in (1, 2):
        model = build("qwen3", layers).train()
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        if rank:
            model = adapted(model, rank)
            model.enable_input_require_grads()
        kept.append(kept_bytes(model, ROWS, TOKENS, autocast=autocast))
    assert kept[1] - kept[0] == ROWS * TOKENS * 64 * 4


def recipe_on(folder: Path, *overrides: str) -> Recipe:
    own = ["model.tiny=null", f"model.path={folder}", "warmup=null", *overrides]
    return load_recipe("quickstart", overrides=own).recipe


@pytest.mark.parametrize("rank", [None, 4])
def test_weights_gradients_and_moments_after_a_step(tmp_path: Path, rank: int | None) -> None:
    model = build("qwen3", 2)
    shape_of(model, tmp_path)
    lora = () if rank is None else (f"model.lora={{rank: {rank}}}",)
    held = memory(recipe_on(tmp_path, *lora))
    assert held is not None
    parts = {part.name: part.amount for part in held.parts}
    model = adapted(model, rank) if rank else model
    trained = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained)
    model(input_ids=torch.tensor([[1, 2, 3]]), labels=torch.tensor([[1, 2, 3]])).loss.backward()
    optimiser.step()

    assert sum(p.nbytes for p in model.parameters()) == parts["weights"] + parts.get("adapter", 0)
    assert sum(p.grad.nbytes for p in trained) == parts["gradients"]
    moments = [value for state in optimiser.state.values() for value in state.values() if value.dim() > 0]
    assert sum(value.nbytes for value in moments) == parts["optimiser"]
    average = memory(recipe_on(tmp_path, *lora, "teacher.kind=ema"))
    assert {p.name: p.amount for p in average.parts}["average of the weights"] == parts["gradients"]


@pytest.mark.parametrize("kind", ["qwen2", "qwen3"])
@pytest.mark.parametrize("autocast", [True, False])
def test_the_cache_of_a_token_is_float32_under_autocast_too(tmp_path: Path, kind: str, autocast: bool) -> None:
    model = build(kind, 2).eval()
    shape = shape_of(model, tmp_path)
    ids = torch.ones(3, 5, dtype=torch.long)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        cache = model(input_ids=ids, use_cache=True).past_key_values
    held = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    assert held == ids.numel() * shape.cache(4)


@pytest.mark.parametrize("kind", ["hf", "vllm"])
def test_a_checkpoint_is_as_large_as_doctor_says(kind: str) -> None:
    from sdar_cli.checkup.needs import kept_bytes as on_disk

    recipe = load_recipe("alfworld-qwen3-1.7b", overrides=[f"engine.kind={kind}"], check_environment=False).recipe
    assert on_disk(recipe) == 3 * 12 * 1_720_574_976  # two kept and one being written; weights and two moments
