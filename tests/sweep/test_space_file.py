"""A space in a YAML file: same syntax, the command line wins, and any file is a space or a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sdar_cli.errors import UserError
from sdar_cli.sweep.make import Wish, make_spec
from sdar_cli.sweep.space_file import read_space
from sdar_cli.sweep.spec import Pruner, StudySpec

WHOLE = """
space:
  gate.temperature: [0.1, 0.2, 1]
  distill:
    coef: log:1e-3..1e-1
  method: grpo, sdar
  train.steps: 50
  evaluation: {every: 10}
search: tpe
cells: 12
seeds: [3, 7]
prune: {kind: median, startup: 6}
metric: score
sampler_seed: 5
note: what the gate is for
"""


def study(file: Path, *words: str, **wish) -> StudySpec:
    return make_spec(Wish("quickstart", words, space=file, **wish)).spec


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "space.yaml"
    path.write_text(WHOLE)
    return path


def test_all_of_a_file(file: Path) -> None:
    spec = study(file)
    assert [str(axis) for axis in spec.axes] == [
        "gate.temperature=0.1,0.2,1",
        "distill.coef=log:0.001..0.1",
        "method=grpo,sdar",
    ]
    assert spec.overrides == ("train.steps=50", "evaluation.every=10")
    assert (spec.search, spec.cells, spec.seeds, spec.metric) == ("tpe", 12, (3, 7), "score")
    assert spec.pruner == Pruner(kind="median", startup=6)
    assert (spec.sampler_seed, spec.note) == (5, "what the gate is for")


def test_the_command_line_wins(file: Path) -> None:
    words = ("gate.beta=1,2", "train.steps=20")
    spec = study(file, *words, search="random", cells=4, seeds="2", prune="none", metric="success", note="")
    assert [axis.key for axis in spec.axes] == ["distill.coef", "method", "gate.beta"]
    assert spec.overrides == ("evaluation.every=10", "train.steps=20")
    assert (spec.search, spec.cells, spec.seeds, spec.metric) == ("random", 4, (0, 1), "success")
    assert spec.pruner is None and spec.note == ""


def test_a_pruner_of_the_same_kind_keeps_the_files_settings(file: Path) -> None:
    assert study(file, prune="median").pruner == Pruner(kind="median", startup=6)
    assert study(file, prune="halving").pruner == Pruner(kind="halving")


def test_an_axis_of_the_file_may_become_an_override(file: Path) -> None:
    spec = study(file, "method=sdar")
    assert "method" not in [axis.key for axis in spec.axes] and "method=sdar" in spec.overrides


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("spaces: {a: 1}", "FILE: the key 'space' is missing: set it"),
        ("space: {}", "FILE:1: space is {}, but must be something else (dictionary should have at least 1 item"),
        (
            "space: {gate.beta: [1, 2]}\nsearch: gird",
            "FILE:2: search is 'gird', but must be 'grid', 'random' or 'tpe':",
        ),
        ("space: {gate.beta: [1, 2]}\ncells: 0", "FILE:2: cells is 0, but must be a number of at least 1: correct"),
        ("space: {gate.beta: [1, 2]}\ncell: 3", "FILE:2: there is no key 'cell': did you mean 'cells'?"),
        ("space: {gate.beta: []}", "FILE: the axis gate.beta has no values: list some, or remove it"),
        ("space: {gate.beta: 'log:0..1'}", "FILE: the axis gate.beta=log:0..1 starts at 0, which has no logarithm:"),
        ("space: {gate.beta: [1, 2], gate: {beta: [3, 4]}}", "FILE: gate.beta is given twice: keep one of them"),
        ("space: {seed: [1, 2]}", "FILE: seed cannot be an axis, as a cell is a setting over seeds"),
        ("space: {gate.bata: [1, 2]}", "the axis gate.bata=1: there is no key 'gate.bata': did you mean 'gate.beta'?"),
        ("- a", "FILE holds no keys and values: write 'space:' and the axes below it"),
        ("space: [", "FILE:1 is not valid YAML"),
        ("space: {gate.beta: [1, 2]}\nseeds: [1, 1]", "--seeds [1, 1] holds a seed twice: list each once"),
        ("space: {gate.beta: [1, 2]}\nseeds: []", "--seeds is [], but must be a number of seeds or a list such as"),
        ("space: {gate.beta: [1, 2]}\nseeds: [-1]", "--seeds is [-1], but must be a number of seeds or a list such as"),
    ],
)
def test_errors(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        study(path)
    assert any(line.replace(str(path), "FILE").startswith(sentence) for line in str(error.value).splitlines()), error


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist: check the path"):
        read_space(tmp_path / "none.yaml")


values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=10),
        st.sampled_from(["1..2", "log:1..9", "a,b", "1,"]),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
fuzz = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@fuzz
@given(st.dictionaries(st.sampled_from(["gate.beta", "method", "warmup", "a", "gate", "x.y"]), values, max_size=3))
def test_any_space_is_a_study_or_a_sentence(tmp_path: Path, space: dict) -> None:
    import yaml

    path = tmp_path / "fuzzed.yaml"
    path.write_text(yaml.safe_dump({"space": space, "cells": 3, "search": "random"}), "utf-8", "replace")
    _try(path)


@fuzz
@given(st.text(max_size=80))
def test_any_text_is_a_study_or_a_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "fuzzed.yaml"
    path.write_text(text, "utf-8", "replace")
    _try(path)


def _try(path: Path) -> None:
    try:
        assert study(path).total_runs > 0
    except UserError as error:
        assert str(error)
