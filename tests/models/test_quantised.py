"""Four bits under an adapter: one policy, whoever computes it. Skipped without bitsandbytes (`sdar[qlora]`)."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from tiny_qwen3 import save_words

from sdar_cli.engines.weights import ModelSource
from sdar_cli.errors import ModelError
from sdar_cli.models import quantised
from sdar_cli.models.load import add_lora, load_model
from sdar_cli.models.merge import load_whole, serves_as_it_is
from sdar_cli.models.quantised import FILE, Quantised, adapter_in_float32
from sdar_cli.recipe.schema import Lora, Model

HELD = Quantised("nf4", "float32")
IDS = (torch.arange(20) % 16).reshape(2, 10)

needs_it = pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed: pip install 'sdar[qlora]'"
)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = ["one two three four five six seven eight nine ten eleven twelve"]
    return save_words(tmp_path_factory.mktemp("quantised") / "base", texts, width=64, mlp=128)


def adapted(base: Path, **lora):
    model = add_lora(load_model(str(base), quantised=HELD), Lora(rank=4, alpha=8, quantise="nf4", **lora), seed=1)
    draw = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=draw))
    return model


def logits(model) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(IDS).logits


def test_what_a_recipe_asks_for() -> None:
    assert Quantised.asked(Model()) is None and Quantised.asked(Model(lora=Lora())) is None
    assert Quantised.asked(Model(lora=Lora(quantise="nf4"), dtype="bfloat16")) == Quantised("nf4", "bfloat16")


def test_a_folder_says_what_lies_under_its_adapter(tmp_path: Path) -> None:
    assert Quantised.beside(tmp_path) is None
    HELD.write(tmp_path)
    assert Quantised.beside(tmp_path) == HELD and not serves_as_it_is(str(tmp_path))
    for content in (
        '{"kind": "nf4"}',
        "[",
        "[]",
        '{"kind": "nf4", "compute": "manual_seed"}',
        '{"kind": 4, "compute": 4}',
    ):
        (tmp_path / FILE).write_text(content)
        with pytest.raises(ModelError, match=r"quantised\.json .*: restore it, or use another checkpoint$"):
            Quantised.beside(tmp_path)


def test_a_sentence_where_bitsandbytes_is_missing(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantised.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"pip install 'sdar\[qlora\]', or set model\.lora\.quantise=null$") as error:
        load_model(str(base), quantised=HELD)
    assert error.value.exit_code == 2


@needs_it
@pytest.mark.parametrize("lora", [{}, {"targets": ["q_proj", "up_proj"]}, {"dora": True}])
def test_one_policy(base: Path, tmp_path: Path, lora: dict) -> None:
    """The model that trains, what an engine gets of it, its folder loaded again, and its folder merged."""
    model = adapted(base, **lora)
    assert {p.dtype for p in model.parameters() if not p.requires_grad} == {torch.uint8, torch.float32}
    policy = logits(model)
    assert (policy - logits(load_model(str(base)))).abs().max() > 0.05
    plain = load_model(str(base))
    given = dict(ModelSource(model).named())
    assert set(given) == {name for name, _ in plain.named_parameters()}
    plain.load_state_dict(given, strict=False)
    model.save_pretrained(tmp_path)
    HELD.write(tmp_path)
    for other in (plain, load_whole(str(tmp_path))):
        torch.testing.assert_close(logits(other), policy, rtol=1e-5, atol=2e-5)
    assert torch.equal(logits(load_model(str(tmp_path))), policy)
    merged = dict(load_whole(str(tmp_path)).named_parameters())
    for name, tensor in given.items():
        torch.testing.assert_close(merged[name], tensor, rtol=1e-6, atol=1e-6)


@needs_it
def test_a_base_without_adapter(base: Path) -> None:
    held, whole = load_model(str(base), quantised=HELD), load_whole(str(base), quantised=HELD)
    torch.testing.assert_close(logits(held), logits(whole), rtol=1e-5, atol=1e-5)
    given = dict(ModelSource(held).named())
    assert all(torch.equal(given[name], tensor) for name, tensor in whole.named_parameters())
    assert not hasattr(whole.config, "quantization_config")


@needs_it
def test_playing_leaves_the_weights_as_they_are(base: Path) -> None:
    """Some CPUs have kernels for which bitsandbytes packs the weights anew, with coarser scales, in evaluations."""
    model = adapted(base)
    before = {name: tensor.clone() for name, tensor in ModelSource(model).named()}
    held = {name: parameter.data.clone() for name, parameter in model.named_parameters()}
    _ = logits(model)
    assert all(torch.equal(held[name], parameter.data) for name, parameter in model.named_parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in ModelSource(model).named())


@needs_it
def test_an_adapter_keeps_its_precision(base: Path) -> None:
    model = adapted(base)
    own = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
    with adapter_in_float32(model):  # as TRL does to it
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.to(torch.bfloat16)
    kept = dict(model.named_parameters())
    assert own and all(torch.equal(tensor, kept[name]) for name, tensor in own.items())


@needs_it
def test_gradients_reach_the_adapter_alone(base: Path) -> None:
    model = adapted(base).train()
    model(IDS).logits.logsumexp(-1).mean().backward()
    got = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert got == {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert all("lora_" in name for name in got) and len(got) == 2 * 7 * 2
