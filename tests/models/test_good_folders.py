"""What folders of good models hold beside the expected: none of it is refused."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hollow_model
import pytest
from hollow_model import CONFIG, END, GENERATION, TOKENIZER_CONFIG, write, write_adapter

from sdar_cli.errors import ModelError
from sdar_cli.models import folder as folder_module
from sdar_cli.models.folder import check_folder, declared_ends
from sdar_cli.models.load import load_model, load_tokenizer


@pytest.mark.parametrize("written", ["NaN", "[-Infinity]", str(2**64 - 1), "1e999", "1" + "0" * 5000, str(10**20)])
def test_numbers_of_keys_that_nobody_uses(tmp_path: Path, written: str) -> None:
    folder = write(tmp_path, config=json.dumps(CONFIG)[:-1] + f', "loss": {written}, "says": "x: NaN, 1e999"}}')
    check_folder(str(folder))
    assert declared_ends(str(folder)) == {END, 0}


@pytest.mark.parametrize("longest", [int(1e30), 10**20, 2**63 - 1, 1e30])
def test_a_tokenizer_without_a_longest_text(tmp_path: Path, longest: float) -> None:
    folder = write(tmp_path, tokenizer_config=TOKENIZER_CONFIG | {"model_max_length": longest})
    assert load_tokenizer(str(folder)).model_max_length == longest


@pytest.mark.parametrize(("ends", "left"), [(-1, None), ([END, -1], [END]), ([-1], None)])
def test_minus_one_is_no_token(tmp_path: Path, ends: Any, left: Any) -> None:
    folder = write(tmp_path, generation=GENERATION | {"eos_token_id": ends})
    assert declared_ends(str(folder)) == set(left or [])
    assert load_model(str(folder)).generation_config.eos_token_id == left


def test_a_socket_that_nothing_opens(tmp_path: Path) -> None:
    folder = write(tmp_path / "m")
    os.mkfifo(folder / "control")
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(folder / "s"))
        check_folder(str(folder))
        door.close()
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(folder / "vocab.txt"))
        with pytest.raises(ModelError, match=r"vocab\.txt is no ordinary file"):
            check_folder(str(folder))


def test_a_folder_of_very_many_files_is_not_listed_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    folder = write(tmp_path)
    real = os.scandir
    monkeypatch.setattr(folder_module, "MOST_FILES", 10)
    monkeypatch.setattr(folder_module.os, "scandir", lambda path: endless_of(real, path, seen))
    with pytest.raises(ModelError, match="holds more than 10 files"):
        check_folder(str(folder))
    assert len(seen) == 12


@contextmanager
def endless_of(real: Any, path: object, seen: list[Any]) -> Iterator[Iterator[Any]]:
    """A listing a hundred times as long; ``seen`` of it is what was asked for."""
    with real(path) as listed:
        yield (seen.append(entry) or entry for entry in list(listed) * 100)


@pytest.mark.parametrize(
    "changes",
    [
        {"target_modules": r".*\.(q_proj|x_proj)$"},
        {"target_modules": r"(?:.*?(?:language|text).*?(?:self_attn|mlp).*?(?:q_proj|k_proj).*?)|(?:.*q_proj)"},
        {"exclude_modules": "lm_head|embed"},
        {"rank_pattern": {r".*\.layers\.[0-3]\.self_attn\.q_proj": 2}},
        {"alpha_pattern": {"^model.layers.0.self_attn.q_proj": 8}},
        {"rank_pattern": {}, "alpha_pattern": {}, "exclude_modules": None, "layer_replication": None},
    ],
)
def test_regular_expressions_of_modules(tmp_path: Path, changes: dict[str, Any]) -> None:
    adapter = write_adapter(tmp_path / "adapter", write(tmp_path / "base"), **changes)
    assert any("q_proj.lora" in name for name, _ in load_model(str(adapter)).named_parameters())


def test_a_base_under_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    hollow_model.write(tmp_path / "base")
    load_model(str(write_adapter(tmp_path / "adapter", "~/base")))
