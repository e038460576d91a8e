"""Damaged model folders where they are loaded by the libraries themselves: a sentence or a model, no other error."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import garbage_kind_model as kind
import hollow_model
import mutations as m
import pytest
from harness import COUNT, Case

from sdar_cli.errors import ModelError
from sdar_cli.models.load import check_vocabulary, load_model, load_tokenizer

TOKENIZER = ("tokenizer.json", "tokenizer_config.json")


def load(folder: Path) -> None:
    tokenizer = load_tokenizer(str(folder))
    check_vocabulary(load_model(str(folder)), tokenizer)
    tokenizer("look user", add_special_tokens=False)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("klass", kind.KIND.refused)
def test_what_is_refused_early_is_refused_here(klass: str, here: Path) -> None:
    for case in kind.KIND.cases("refused", max(COUNT // 4, 1)):
        if case.klass == klass:
            folder = here / str(case.number)
            folder.mkdir()
            os.chdir(folder)
            with case.make(folder, Random(f"full/{case}")).within(), pytest.raises(ModelError) as error:
                load(folder / "model")
            assert error.value.exit_code == 2 and ": " in str(error.value)


@pytest.mark.parametrize("name", ["config.json", "generation_config.json", kind.WEIGHTS, *TOKENIZER])
def test_blind_damage_is_a_sentence_or_nothing(name: str, here: Path) -> None:
    folder = hollow_model.write(here / "model")
    whole = (folder / name).read_bytes()
    header = 900 if name == kind.WEIGHTS else len(whole)
    for number in range(max(COUNT // 4, 6)):
        (folder / name).write_bytes(m.flip(whole[:header], Random(f"{name}/{number}")) + whole[header:])
        load_or_refuse(folder)


def load_or_refuse(folder: Path) -> None:
    try:
        load(folder)
    except ModelError as error:
        assert ": " in str(error) and len(str(error)) < 2000


TREES = {"tokenizer.json": hollow_model.tokenizer(), "tokenizer_config.json": hollow_model.TOKENIZER_CONFIG}


@pytest.mark.parametrize("name", TOKENIZER)
def test_a_tokenizer_with_a_value_of_another_kind(name: str, here: Path) -> None:
    folder = hollow_model.write(here / "model")
    places = [at for at, _ in m.leaves(TREES[name])] + list(m.maps(TREES[name]))[1:]
    for number in range(max(COUNT // 3, 8)):
        random = Random(f"{name}/{number}")
        hollow_model.write_json(folder / name, m.retyped(TREES[name], random.choice(places), random))
        load_or_refuse(folder)


def test_every_class_is_tried() -> None:
    cases: list[Case] = list(kind.KIND.cases("refused", 1))
    assert {case.klass for case in cases} == set(kind.KIND.refused)
