"""What ``model.lora`` may say, and what else of a recipe it goes with."""

from __future__ import annotations

import pytest

from sdar_cli.errors import RecipeError, UserError
from sdar_cli.launch.dist import check_recipe
from sdar_cli.recipe.load import load_recipe
from sdar_cli.recipe.schema import Lora

REAL = "alfworld-qwen3-1.7b"
"""Without a warm-up."""


def test_a_line_makes_an_adapter() -> None:
    assert load_recipe(REAL, overrides=["model.lora.rank=8"]).recipe.model.lora == Lora(rank=8)
    assert load_recipe(REAL, overrides=["model.lora={}"]).recipe.model.lora == Lora()
    assert load_recipe(REAL, overrides=["model.lora.quantise=nf4"]).recipe.model.lora.quantise == "nf4"
    plain = {"rank": 32, "alpha": 64, "dropout": 0.0, "targets": "all-linear"}
    assert Lora().model_dump() == plain | {"rslora": False, "dora": False, "quantise": None}


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["model.lora.dropout=0.1"], "model.lora.dropout is for the warm-up and there is none"),
        (["model.lora.dora=true", "engine.lora=hot"], "engine.lora=hot cannot serve model.lora.dora"),
        (["model.lora.rank=4", "engine.lora=hot", "engine.sync=nccl"], "set engine.sync to folder, or engine.lora to"),
        (["model.lora.quantise=int8"], "model.lora.quantise is 'int8', but must be 'nf4'"),
        (["model.lora.quantize=nf4"], "did you mean 'model.lora.quantise'?"),
        (["model.lora.rank=0"], "model.lora.rank is 0, but must be a number above 0"),
    ],
)
def test_what_cannot_be_is_one_sentence(overrides: list[str], says: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(REAL, overrides=overrides)
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_dropout_is_for_a_warm_up() -> None:
    assert load_recipe("quickstart", overrides=["model.lora.dropout=0.1"]).recipe.model.lora.dropout == 0.1


@pytest.mark.parametrize("dist", ["fsdp2", "zero3"])
def test_four_bits_are_not_divided(dist: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sdar_cli.launch.dist.check_zero3", lambda: None)
    recipe = load_recipe(REAL, overrides=["model.lora.quantise=nf4"]).recipe
    with pytest.raises(UserError, match=r"use --dist ddp, or model\.lora\.quantise=null$"):
        check_recipe(dist, recipe)
    check_recipe("ddp", recipe)


@pytest.mark.parametrize("dist", ["fsdp2", "zero3"])
def test_an_adapter_that_is_sent_by_itself_is_not_divided(dist: str) -> None:
    hot = load_recipe(REAL, overrides=["model.lora.rank=4", "engine.lora=hot"]).recipe
    with pytest.raises(UserError, match=rf"^--dist {dist} divides the adapter.*use --dist ddp, or engine\.lora=merge$"):
        check_recipe(dist, hot)
    check_recipe("ddp", hot)
    check_recipe(dist, load_recipe(REAL, overrides=["model.lora.rank=4"]).recipe)
    check_recipe(dist, load_recipe(REAL, overrides=["model.lora.rank=4", "engine.lora=hot", "engine.kind=hf"]).recipe)
