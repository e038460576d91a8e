"""Records of a JSON file, whatever they hold and however it is cut: what Python's own reader makes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdar_envs.webshop import json_files

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=5)
SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | TEXT | st.sampled_from(["[", "}", '\\"'])
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("records") / "file.json"


@settings(max_examples=40)
@given(values=st.lists(VALUES, max_size=4), piece=st.integers(1, 40), ascii_only=st.booleans())
def test_a_list(values: list[Any], piece: int, ascii_only: bool, file: Path) -> None:
    file.write_text(json.dumps(values, ensure_ascii=ascii_only), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_files, "_CHUNK", piece)
        found = list(json_files.read_list(file, lambda done: None))
    assert found == [(f"record {number}", value) for number, value in enumerate(values, start=1)]


@settings(max_examples=40)
@given(values=st.dictionaries(TEXT, VALUES, max_size=4), piece=st.integers(1, 40))
def test_a_mapping(values: dict[str, Any], piece: int, file: Path) -> None:
    file.write_text(json.dumps(values), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_files, "_CHUNK", piece)
        found = list(json_files.read_mapping(file, lambda done: None))
    assert found == list(values.items())


def test_of_equal_keys_in_a_record_the_last_counts_and_equal_records_all_come(file: Path) -> None:
    file.write_text('{"a": {"b": 1, "b": [2]}, "a": {"": {"": 3}}}')
    found = list(json_files.read_mapping(file, lambda done: None))
    assert found == [("a", {"b": [2]}), ("a", {"": {"": 3}})]
