"""Base and adapter as one set of weights: what engines are given, what is exported, and what PEFT makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_qwen3 import save_words

from sdar_cli.engines.weights import ModelSource
from sdar_cli.models.load import add_lora, load_model
from sdar_cli.models.merge import load_whole, serves_as_it_is
from sdar_cli.recipe.schema import Lora

IDS = (torch.arange(20) % 16).reshape(2, 10)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = ["one two three four five six seven eight nine ten eleven twelve"]
    return save_words(tmp_path_factory.mktemp("merge") / "base", texts)


def adapted(base: Path, **lora):
    """With an adapter that does something."""
    model = add_lora(load_model(str(base)), Lora(rank=4, alpha=8, **lora), seed=1)
    draw = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=draw))
    return model.eval()


@pytest.mark.parametrize("lora", [{}, {"rslora": True}, {"dora": True}, {"dora": True, "targets": ["q_proj"]}])
def test_what_an_engine_gets_is_the_policy(base: Path, lora: dict) -> None:
    model = adapted(base, **lora)
    plain = load_model(str(base)).eval()
    given = dict(ModelSource(model).named())
    assert set(given) == {name for name, _ in plain.named_parameters()}
    plain.load_state_dict(given, strict=False)
    with torch.no_grad():
        torch.testing.assert_close(plain(IDS).logits, model(IDS).logits, rtol=1e-5, atol=5e-5)


@pytest.mark.parametrize("lora", [{}, {"rslora": True}, {"dora": True}])
def test_a_folder_is_merged_to_the_same(base: Path, tmp_path: Path, lora: dict) -> None:
    model = adapted(base, **lora)
    model.save_pretrained(tmp_path)
    assert serves_as_it_is(str(tmp_path)) is ("dora" not in lora) and serves_as_it_is(str(base))
    merged = dict(load_whole(str(tmp_path)).named_parameters())
    for name, tensor in ModelSource(model).named():
        torch.testing.assert_close(merged[name], tensor, rtol=1e-6, atol=1e-6)


def test_scalings_are_peft_users(base: Path) -> None:
    """alpha / rank, or alpha / √rank."""
    for lora, scaling in (({}, 2.0), ({"rslora": True}, 4.0)):
        layer = adapted(base, **lora).base_model.model.model.layers[0].self_attn.q_proj
        assert layer.scaling["default"] == scaling
