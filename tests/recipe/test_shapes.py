from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, Qwen2Config, Qwen3Config
from transformers.models.auto import AutoModelForCausalLM

from sdar_cli.errors import ModelError
from sdar_cli.recipe.schema import Lora, Model, TinyModel
from sdar_cli.recipe.shapes import KNOWN, TINY_VOCABULARY, model_shape

CONFIGS = {"qwen2": Qwen2Config, "qwen3": Qwen3Config, "llama": LlamaConfig}


def config_of(kind: str, numbers: tuple, **more: object):
    layers, width, heads, kv_heads, size, mlp, vocabulary, tied = numbers
    return CONFIGS[kind](
        num_hidden_layers=layers,
        hidden_size=width,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=size,
        intermediate_size=mlp,
        vocab_size=vocabulary,
        tie_word_embeddings=tied,
        **more,
    )


def counted(config) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in AutoModelForCausalLM.from_config(config).parameters())


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("Qwen/Qwen3-1.7B", "qwen3-1.7b"),
        ("Qwen/Qwen2.5-3B-Instruct", "qwen2.5-3b"),
        ("Qwen/Qwen2.5-7B-Instruct", "qwen2.5-7b"),
    ],
)
def test_published_shapes_have_the_parameters_that_transformers_makes(path: str, name: str) -> None:
    kind, *numbers = KNOWN[name]
    shape = model_shape(Model(path=path))
    assert shape is not None and shape.parameters == counted(config_of(kind, tuple(numbers)))


@pytest.mark.parametrize(
    ("kind", "more"),
    [("qwen2", {}), ("qwen3", {}), ("qwen3", {"attention_bias": True}), ("llama", {}), ("llama", {"mlp_bias": False})],
)
@pytest.mark.parametrize("tied", [True, False])
def test_a_folders_config_gives_the_parameters(tmp_path: Path, kind: str, more: dict, tied: bool) -> None:
    config = config_of(kind, (3, 48, 4, 2, 16, 80, 101, tied), **more)
    config.save_pretrained(tmp_path)
    shape = model_shape(Model(path=str(tmp_path)))
    assert shape is not None and shape.parameters == counted(config)
    assert str(tmp_path) in shape.source


@pytest.mark.parametrize("targets", ["all-linear", ["q_proj", "down_proj"]])
@pytest.mark.parametrize("dora", [False, True])
def test_adapters_have_the_weights_that_peft_makes(tmp_path: Path, targets: str | list[str], dora: bool) -> None:
    from sdar_cli.models.load import add_lora

    config = config_of("qwen3", (3, 48, 4, 2, 16, 80, 101, True))
    config.save_pretrained(tmp_path)
    lora = Lora(rank=4, targets=targets, dora=dora)
    model = add_lora(AutoModelForCausalLM.from_config(config), lora, 0)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    shape = model_shape(Model(path=str(tmp_path)))
    assert shape is not None and shape.lora_parameters(lora) == trained


def test_a_tiny_model_is_what_the_run_makes() -> None:
    from sdar_cli.models.tiny import build_model

    class Words:
        pad_token_id, eos_token_id = 0, 1

        def __len__(self) -> int:
            return TINY_VOCABULARY

    tiny = TinyModel(layers=2, width=64, heads=2, mlp=96)
    shape = model_shape(Model(tiny=tiny))
    made = build_model(tiny, Words(), 0)
    assert shape is not None and shape.parameters == sum(p.numel() for p in made.parameters())


def test_the_hubs_cache_is_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    assert model_shape(Model(path="some/model")) is None
    folder = tmp_path / "models--some--model"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc")
    (folder / "snapshots" / "abc").mkdir(parents=True)
    config = config_of("qwen3", (3, 48, 4, 2, 16, 80, 101, True))
    (folder / "snapshots" / "abc" / "config.json").write_text(json.dumps(config.to_dict()))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    shape = model_shape(Model(path="some/model"))
    assert shape is not None and shape.layers == 3
    for name in ("../up", "a/b/c", "a/-b", "./x"):
        assert model_shape(Model(path=name)) is None


@pytest.mark.parametrize("content", ["{}", '{"num_experts": 8, "num_attention_heads": 2, "hidden_size": 8}'])
def test_an_unknown_shape_is_no_estimate(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    assert model_shape(Model(path=str(tmp_path))) is None
    assert model_shape(Model(path="some/thing")) is None


@pytest.mark.parametrize("content", ["[", "3", "[]", '{"hidden_size": 1e400}', '{"num_attention_heads": 0}'])
def test_a_damaged_configuration_is_a_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ModelError, match=r"config\.json "):
        model_shape(Model(path=str(tmp_path)))
