from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdar_cli.errors import RecipeError
from sdar_cli.recipe.yaml_reader import MAX_DEPTH, parse, read_file, scalar


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-6", 1e-6),
        ("1E3", 1000.0),
        (".5", 0.5),
        ("-2", -2),
        ("+3.", 3.0),
        ("true", True),
        ("False", False),
        ("on", "on"),
        ("no", "no"),
        ("2026-01-01", "2026-01-01"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("~", None),
        ("", None),
        ("null", None),
        ("e5", "e5"),
        ("1e", "1e"),
        ("-", "-"),
        ("2 x", "2 x"),
    ],
)
def test_scalars_follow_the_core_schema(text: str, value: object) -> None:
    read = scalar(text)
    assert read == value and type(read) is type(value)


def test_quoted_scalars_are_text() -> None:
    assert parse("a: '1e-6'\nb: \"true\"\n", "x").value == {"a": "1e-6", "b": "true"}


def test_lines_are_known() -> None:
    assert parse("a: 1\nb:\n  c: 2\n", "x").lines == {"a": 1, "b": 2, "b.c": 3}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\na: 2\n", "x:2 has the key 'a' twice: remove one of them"),
        ("a: {b: 1, b: 1}", "x:1 has the key 'b' twice"),
        ("a: !!python/object:os.system x", "uses the YAML tag"),
        ("a: !!binary aGk=", "uses the YAML tag"),
        ("!x {a: 1}", "uses the YAML tag"),
        ("a: [1", "x:1 is not valid YAML"),
        ("a: b: c", "x:1 is not valid YAML"),
        ("a: *b", "is not valid YAML"),
        ("a: 1\n---\nb: 2\n", "more than one YAML document"),
        ("[a, b]: 1", "has a key that is not a word"),
        ("gate.beta: 5", "x:1 has the key 'gate.beta': write it as keys within a section"),
        ("a: " + "[" * 1000 + "]" * 1000, f"nested deeper than {MAX_DEPTH} levels"),
        ("a: &a [*a]", "through anchors too often"),
        ("a: \x07", "is not valid YAML"),
    ],
)
def test_refusals_are_one_sentence(text: str, says: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse(text, "x")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_anchor_bomb_is_refused_quickly() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    with pytest.raises(RecipeError, match="through anchors too often"):
        parse("\n".join(lines), "x")


def test_a_plain_anchor_is_followed() -> None:
    assert parse("a: &x [1, 2]\nb: *x\n", "x").value == {"a": [1, 2], "b": [1, 2]}


def test_files(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="does not exist"):
        read_file(tmp_path / "no.yaml")
    with pytest.raises(RecipeError, match="is a folder"):
        read_file(tmp_path)
    big = tmp_path / "big.yaml"
    big.write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(RecipeError, match="larger than 1 MiB"):
        read_file(big)
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"a: \xe9\n")
    with pytest.raises(RecipeError, match="is not UTF-8 text"):
        read_file(latin)


@given(st.text(max_size=60))
def test_any_text_is_a_value_or_a_sentence(text: str) -> None:
    try:
        parse(text, "x")
    except RecipeError as error:
        assert "\n" not in str(error)
