from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sdar_cli.recipe.dump import annotated, dump, recipe_digest
from sdar_cli.recipe.load import load_recipe, shipped_recipes

printable = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_categories=["Cs", "Cc"]), max_size=12)
plain = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**6), 10**6),
    st.floats(allow_nan=False, allow_infinity=False),
    printable,
)
words = st.text("abcdefgh_", min_size=1, max_size=6)
free = st.dictionaries(words, st.one_of(plain, st.lists(plain, max_size=3)), max_size=4)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(free, printable)
def test_a_dump_reads_back_as_the_same_recipe(recipe: Path, kwargs: dict, description: str) -> None:
    before = load_recipe(str(recipe)).recipe
    model = before.model.model_copy(update={"template_kwargs": kwargs})
    before = before.model_copy(update={"model": model, "description": description})
    file = recipe.with_name("dumped.yaml")
    file.write_text(dump(before), encoding="utf-8")
    after = load_recipe(str(file)).recipe
    assert after == before
    assert recipe_digest(after) == recipe_digest(before)
    assert dump(after) == dump(before)


@pytest.mark.parametrize("text", ["1e-6", "true", "null", "~", "", "on", "2026-01-01", "12", " x", "a: b", "#", "'"])
def test_text_that_looks_like_something_else_stays_text(recipe: Path, text: str) -> None:
    before = load_recipe(str(recipe)).recipe.model_copy(update={"description": text})
    file = recipe.with_name("dumped_text.yaml")
    file.write_text(dump(before))
    assert load_recipe(str(file)).recipe.description == text


@pytest.mark.parametrize("name", shipped_recipes())
def test_the_annotated_form_is_the_same_recipe(name: str, tmp_path: Path) -> None:
    resolved = load_recipe(name, overrides=["gate.temperature=0.25"], check_environment=False)
    text = annotated(resolved)
    file = tmp_path / "annotated.yaml"
    file.write_text(text)
    assert load_recipe(str(file), check_environment=False).recipe == resolved.recipe
    line = next(line for line in text.splitlines() if line.strip().startswith("beta:"))
    assert line.endswith("# the override gate.temperature=0.25 (as gate.temperature)")


def test_the_digest_follows_settings_and_not_their_spelling(recipe: Path) -> None:
    def digest(*overrides: str) -> str:
        return recipe_digest(load_recipe(str(recipe), overrides=overrides).recipe)

    assert digest("gate.beta=5") == digest("gate.temperature=0.2") == digest()
    assert digest("gate.beta=5.0001") != digest()
