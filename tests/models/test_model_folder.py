"""A model folder that somebody else made: whole it loads, damaged it is one sentence, before torch is asked."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import hollow_model
import pytest
from hollow_model import CONFIG, END, GENERATION, SHAPES, header_of, safetensors, write, write_adapter
from hypothesis import given
from hypothesis import strategies as st

from sdar_cli.errors import ModelError
from sdar_cli.models.folder import check_folder, declared_ends
from sdar_cli.models.load import check_vocabulary, load_model, load_tokenizer
from sdar_cli.models.merge import serves_as_it_is


def refusal(folder: Path) -> str:
    with pytest.raises(ModelError) as error:
        check_folder(str(folder))
    assert error.value.exit_code == 2 and ": " in str(error.value)
    return str(error.value)


def test_whole_folders_load(tmp_path: Path) -> None:
    base = write(tmp_path / "base")
    for folder in (base, hollow_model.write_sharded(tmp_path / "shards"), write_adapter(tmp_path / "adapter", base)):
        check_folder(str(folder))
        model, tokenizer = load_model(str(folder)), load_tokenizer(str(folder))
        check_vocabulary(model, tokenizer)
        assert set(model.generation_config.eos_token_id) == {END, 0}


def test_what_good_models_hold(tmp_path: Path) -> None:
    """Infinity, links (the hub's cache is made of them), weights in other forms beside safetensors, no settings."""
    write(tmp_path / "blobs", config=json.dumps(CONFIG)[:-1] + ', "time_step_limit": [0.0, Infinity]}')
    folder = tmp_path / "snapshot"
    folder.mkdir()
    for path in (tmp_path / "blobs").iterdir():
        (folder / path.name).symlink_to(path)
    (folder / "pytorch_model.bin").write_bytes(b"\x80")
    (folder / "generation_config.json").unlink()
    (folder / "original").mkdir()
    (folder / "gone.md").symlink_to(tmp_path / "nowhere")
    check_folder(str(folder))
    assert declared_ends(str(folder)) == {END}


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "consolidated.00.pth", "weights.pkl", "a.ckpt"])
def test_only_safetensors(tmp_path: Path, name: str) -> None:
    base = write(tmp_path / "base")
    adapter = write_adapter(tmp_path / "adapter", base)
    (base / "model.safetensors").rename(base / name)
    (adapter / "adapter_model.safetensors").rename(adapter / name)
    for folder in (base, adapter):
        said = refusal(folder)
        assert f"holds {name} and no " in said and "safetensors format" in said
    with pytest.raises(ModelError, match="safetensors"):
        load_model(str(base))


def test_an_adapter_in_pickle_is_not_opened(tmp_path: Path) -> None:
    """PEFT would take adapter_model.bin where there is no other."""
    adapter = write_adapter(tmp_path / "adapter", write(tmp_path / "base"))
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    with pytest.raises(ModelError, match=r"holds adapter_model\.bin and no adapter_model\.safetensors"):
        load_model(str(adapter))


WEIGHTS = safetensors(header_of(SHAPES))
HEADER = header_of(SHAPES)
ENTRY = HEADER["model.norm.weight"]


def with_entry(entry: Any) -> bytes:
    return safetensors(HEADER | {"model.norm.weight": entry}, len(WEIGHTS))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        WEIGHTS[:7],
        WEIGHTS[:30],
        WEIGHTS[:-1],
        WEIGHTS + b"\0",
        b"\xff" * 8 + WEIGHTS[8:],
        b"\x80\x05\x95" + WEIGHTS,
        (200_000_000).to_bytes(8, "little") + WEIGHTS[8:],
        safetensors("{", 8),
        safetensors("[]", 8),
        safetensors("{" * 3000, 8),
        safetensors('{"a": 1}', 8),
        safetensors('{"a": {}}', 8),
        safetensors('{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, "a": 1}', 4),
        safetensors('{"a": {"dtype": "F32", "shape": [1e9], "data_offsets": [0, 4]}}', 4),
        with_entry(ENTRY | {"shape": [5]}),
        with_entry(ENTRY | {"shape": [-4]}),
        with_entry(ENTRY | {"shape": [2**62, 2**62]}),
        with_entry(ENTRY | {"shape": "4"}),
        with_entry(ENTRY | {"dtype": None}),
        with_entry(ENTRY | {"data_offsets": [4, 20]}),
        with_entry(ENTRY | {"data_offsets": [0, 16]}),
        with_entry(ENTRY | {"data_offsets": [True, 16]}),
        with_entry(ENTRY | {"data_offsets": [10**30, 10**30 + 16]}),
    ],
)
def test_damaged_weights(tmp_path: Path, content: bytes) -> None:
    folder = write(tmp_path)
    (folder / "model.safetensors").write_bytes(content)
    assert "model.safetensors" in refusal(folder)


@given(st.integers(0, len(WEIGHTS) - 1))
def test_weights_cut_anywhere(tmp_path_factory: pytest.TempPathFactory, length: int) -> None:
    folder = tmp_path_factory.getbasetemp() / "cut"
    if not folder.exists():
        write(folder)
    (folder / "model.safetensors").write_bytes(WEIGHTS[:length])
    refusal(folder)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("[]", "no JSON object"),
        ("[" * 100_000, "nested deeper"),
        ('{"vocab_size": 1, "vocab_size": 2}', "twice"),
        ({"hidden_size": 10**400}, "hidden_size"),
        ('{"hidden_size": 1e999}', "hidden_size"),
        ('{"hidden_size": NaN}', "hidden_size that no model has ('NaN')"),
        ({"num_attention_heads": 0}, "num_attention_heads"),
        ({"hidden_size": "4"}, "hidden_size"),
        ({"hidden_size": True}, "hidden_size"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers"),
        ({"text_config": {"vocab_size": -1}}, "vocab_size"),
        ({"text_config": 3}, "text_config"),
        ({"num_hidden_layers": 3}, "num_hidden_layers 3, and the weights beside it have 1"),
        ({"vocab_size": 4000}, "vocab_size 4000, and the weights beside it have 9"),
        ({"eos_token_id": "x"}, "eos_token_id"),
        ({"eos_token_id": [True]}, "eos_token_id"),
        ({"transformers_weights": "../other.safetensors"}, "no safetensors in its folder"),
        ({"transformers_weights": "adapter_model.bin"}, "no safetensors in its folder"),
    ],
)
def test_damaged_configurations(tmp_path: Path, config: Any, said: str) -> None:
    folder = write(tmp_path, config=config if isinstance(config, str) else CONFIG | config)
    assert said in refusal(folder)


@pytest.mark.parametrize("ends", ["x", [True], -5, 10**9, [[2]], {"a": 1}, 2.5, list(range(2000))])
def test_ends_that_are_no_tokens(tmp_path: Path, ends: Any) -> None:
    folder = write(tmp_path, generation=GENERATION | {"eos_token_id": ends})
    assert "eos_token_id" in refusal(folder)
    with pytest.raises(ModelError, match="eos_token_id"):
        declared_ends(str(folder))


def test_an_end_beyond_the_vocabulary(tmp_path: Path) -> None:
    folder = write(tmp_path, generation=GENERATION | {"eos_token_id": 77})
    with pytest.raises(ModelError, match="'77', which is none of its 9 tokens"):
        load_model(str(folder))


def test_tokens_that_the_model_lacks(tmp_path: Path) -> None:
    folder = write(tmp_path)
    words = [*hollow_model.WORDS, "more"]
    hollow_model.write_json(folder / "tokenizer.json", hollow_model.tokenizer(words))
    with pytest.raises(ModelError, match="has 10 tokens and the model 9"):
        check_vocabulary(load_model(str(folder)), load_tokenizer(str(folder)))


def test_weights_that_are_not_there_are_not_made_up(tmp_path: Path) -> None:
    shapes = {name: shape for name, shape in SHAPES.items() if "gate_proj" not in name}
    with pytest.raises(ModelError, match=r"lacks 1 of its weights, 'model\.layers\.0\.mlp\.gate_proj\.weight'"):
        load_model(str(write(tmp_path, shapes=shapes)))


def test_adapter_weights_that_are_not_there_are_not_made_up(tmp_path: Path) -> None:
    adapter = write_adapter(tmp_path / "adapter", write(tmp_path / "base"))
    half = dict(list(hollow_model.ADAPTER_SHAPES.items())[:1])
    (adapter / "adapter_model.safetensors").write_bytes(safetensors(header_of(half)))
    with pytest.raises(ModelError, match=r"adapter in .* cannot be loaded"):
        load_model(str(adapter))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"base_model_name_or_path": None}, "without their base"),
        ({"base_model_name_or_path": ["a"]}, "no text"),
        ({"base_model_name_or_path": "a\0b"}, "no text"),
        ({"peft_type": "VERA"}, "another adapter than LoRA"),
        ({"peft_type": None}, "another adapter than LoRA"),
        ({"r": 0}, "rank"),
        ({"r": "8"}, "rank"),
        ({"r": 10**12}, "rank"),
        ({"megatron_config": {"a": 1}, "megatron_core": "this"}, "megatron_config"),
        ({"layer_replication": [[0, 10**6]]}, "layer_replication"),
        ({"target_modules": "(\\w+)+x"}, "target_modules"),
        ({"exclude_modules": ".*" * 9}, "exclude_modules"),
        ({"lora_alpha": float("nan")}, "NaN"),
        ({"target_modules": [3]}, "target_modules"),
        ({"rank_pattern": {"([a-z_.0-9]+)+!": 8}}, "rank_pattern"),
        ({"alpha_pattern": {"(a+)+!": 8}}, "alpha_pattern"),
        ({"modules_to_save": ["(a+)+!"]}, "modules_to_save"),
    ],
)
def test_damaged_adapters(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    folder = write_adapter(tmp_path / "adapter", write(tmp_path / "base"), **changes)
    assert said in refusal(folder)
    with pytest.raises(ModelError):
        load_tokenizer(str(folder))
    with pytest.raises(ModelError):
        serves_as_it_is(str(folder))


@pytest.mark.parametrize("content", ["{", "[]", "null", '"text"', "{}"])
def test_adapter_configurations_that_are_none(tmp_path: Path, content: str) -> None:
    folder = write_adapter(tmp_path / "adapter", write(tmp_path / "base"))
    (folder / "adapter_config.json").write_text(content)
    refusal(folder)


def test_an_adapter_that_names_itself(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="LoRA weights over others"):
        load_model(str(write_adapter(tmp_path, tmp_path)))


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "merges.txt", "chat_template.jinja", "a.vocab"])
def test_a_pipe_blocks_nobody(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path)
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    assert name in refusal(folder)


@pytest.mark.parametrize(
    "index",
    [
        "{",
        {},
        {"weight_map": []},
        {"weight_map": {"a": 3}},
        {"weight_map": {"a": "../x.safetensors"}},
        {"weight_map": {"a": "x.bin"}},
        {"weight_map": {"a": "gone.safetensors"}},
        {"weight_map": {"a": "model-00001-of-00002.safetensors"}},
    ],
)
def test_damaged_indexes(tmp_path: Path, index: Any) -> None:
    folder = hollow_model.write_sharded(tmp_path)
    hollow_model.write_json(folder / "model.safetensors.index.json", index)
    refusal(folder)
