"""Keywords match whole words, in any script and any spelling of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdar_cli.skills.words import contains, words


def has(text: str, keyword: str) -> bool:
    return contains(words(text), words(keyword))


@pytest.mark.parametrize(
    ("text", "keyword"),
    [
        ("put the hat away", "hat"),
        ("Heat the MUG.", "heat"),
        ("mug_2 is hot", "mug"),
        ("warm it up, warm up now", "warm up"),
        ("die Straße", "STRASSE"),
        ("cafe\u0301 noir", "café"),
        ("ﬁnd it", "find"),
        ("पानी गरम करो", "गरम"),
        ("ısı", "ISI".replace("I", "ı")),
    ],
)
def test_match(text: str, keyword: str) -> None:
    assert has(text, keyword)


@pytest.mark.parametrize(
    ("text", "keyword"),
    [
        ("put that away", "hat"),
        ("heated mug", "heat"),
        ("warm it up", "warm up"),
        ("cafés", "cafe"),
        ("पानी की", "क"),
        ("anything", ""),
    ],
)
def test_no_match(text: str, keyword: str) -> None:
    assert not has(text, keyword)


@given(st.text(max_size=80))
def test_words_are_stable(text: str) -> None:
    assert words(" ".join(words(text))) == words(text)


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=8), st.integers(0, 8), st.integers(1, 8))
def test_contains_every_slice_of_itself(items: list[str], start: int, width: int) -> None:
    whole = tuple(items)
    piece = whole[start : start + width]
    assert contains(whole, piece) == bool(piece)
