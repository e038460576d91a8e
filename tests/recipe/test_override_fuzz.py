"""Any override is a recipe or a sentence, never another exception."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sdar_cli.errors import UserError
from sdar_cli.recipe.explain import schema_keys
from sdar_cli.recipe.load import load_recipe
from sdar_cli.recipe.schema import Recipe

KEYS = schema_keys(Recipe)
keys = st.one_of(
    st.sampled_from(KEYS),
    st.sampled_from(["gate.temperature", "environment.options.size", "environment.options.size.x", "a.b.c"]),
    st.text(max_size=20),
)
values = st.one_of(
    st.text(max_size=20),
    st.integers().map(str),
    st.floats().map(repr),
    st.sampled_from(["null", "true", "{}", "[]", "{a: 1}", "[1, {b: 2}]", "&a [*a]", "1e-6", "''", "household"]),
)
fuzz = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@fuzz
@given(st.lists(st.tuples(keys, values).map("=".join), min_size=1, max_size=3))
def test_overrides(recipe: Path, overrides: list[str]) -> None:
    try:
        resolved = load_recipe(str(recipe), overrides=overrides)
    except UserError as error:
        assert str(error)
    else:
        assert Recipe.model_validate(resolved.recipe.model_dump()) == resolved.recipe


@fuzz
@given(st.text(max_size=80))
def test_files(recipe: Path, text: str) -> None:
    file = recipe.with_name("fuzzed.yaml")
    file.write_text(text, encoding="utf-8", errors="replace")
    with pytest.raises(UserError):
        load_recipe(str(file))
