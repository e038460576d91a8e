"""A model whose code lies beside its weights is looked at by vLLM's player as it is by Hugging Face's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sdar_cli.errors import ModelError
from sdar_cli.evaluation.players import _config, _declared_ends

CODE = """
from transformers import PretrainedConfig


class Odd(PretrainedConfig):
    model_type = "odd-one-out"
"""


class _Tokenizer:
    eos_token_id = 1


def test_the_code_of_a_model_is_trusted_where_the_recipe_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    folder = tmp_path / "model"
    folder.mkdir()
    told = {"model_type": "odd-one-out", "auto_map": {"AutoConfig": "odd.Odd"}, "eos_token_id": 7}
    (folder / "config.json").write_text(json.dumps(told))
    (folder / "odd.py").write_text(CODE)
    assert type(_config(str(folder), True, None)).__name__ == "Odd"
    assert _declared_ends(str(folder), _Tokenizer(), True, None) == {1, 7}
    with pytest.raises(ValueError, match="trust_remote_code"):
        _config(str(folder), False, None)


def test_an_adapter_does_not_choose_whose_code_that_is(tmp_path: Path) -> None:
    settings = {"peft_type": "LORA", "r": 4, "base_model_name_or_path": "somebody/else"}
    (tmp_path / "adapter_config.json").write_text(json.dumps(settings))
    with pytest.raises(ModelError, match="is not the recipe's model, so its code is not trusted"):
        _config(str(tmp_path), True, "mine/own")
