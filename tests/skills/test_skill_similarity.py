"""BM25 against a float64 reference written from its formula, and what scaling promises."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdar_cli.skills.similarity import Similarity
from sdar_cli.skills.words import words

WILD = st.lists(st.text(max_size=60), max_size=6)
"""Texts of anything: other scripts, signs alone, nothing."""
FEW = st.sampled_from(["heat", "cool", "mug", "the", "a", "sink"])
PLAIN = st.lists(st.lists(FEW, max_size=12).map(" ".join), max_size=6)


def reference(texts: list[str], query: str) -> list[float]:
    """Each text's BM25 (Lucene's form, k1 1.5, b 0.75), unscaled."""
    split = [words(text) for text in texts]
    mean = sum(map(len, split)) / len(split) if split else 0.0
    scores = []
    for text in split:
        score = 0.0
        for word in sorted(set(words(query))):
            holding = sum(word in other for other in split)
            often = text.count(word)
            if often:
                rare = math.log(1 + (len(split) - holding + 0.5) / (holding + 0.5))
                score += rare * often / (often + 1.5 * (1 - 0.75 + 0.75 * len(text) / mean))
        scores.append(score)
    return scores


@given(st.one_of(WILD, PLAIN), st.one_of(st.text(max_size=60), st.sampled_from(["heat the mug", "mug mug sink", ""])))
def test_is_the_formula_over_its_highest(texts: list[str], query: str) -> None:
    found = Similarity(texts).to(query)
    expected = reference(texts, query)
    highest = max(expected, default=0.0) or 1.0
    assert found == pytest.approx([score / highest for score in expected], rel=1e-12, abs=1e-15)


@given(PLAIN, st.text(max_size=40))
def test_the_best_has_1_and_no_shared_word_is_0(texts: list[str], query: str) -> None:
    found = Similarity(texts).to(f"{query} mug")
    shared = [bool(set(words(f"{query} mug")) & set(words(text))) for text in texts]
    assert [score > 0 for score in found] == shared
    assert max(found, default=1.0) == (1.0 if any(shared) or not texts else 0.0)


def test_a_rarer_word_weighs_more_and_a_longer_text_less() -> None:
    texts = ["mug sink", "mug stove", "mug stove bench"]
    sink, stove, bench = Similarity(texts).to("stove")
    assert sink == 0.0
    assert stove == 1.0 > bench > 0.5
    assert Similarity(texts).to("mug sink")[0] == 1.0


def test_words_are_whole_and_count_once() -> None:
    assert Similarity(["hat rack", "that"]).to("HAT") == [1.0, 0.0]
    texts = ["mug sink", "mug mug stove"]
    assert Similarity(texts).to("sink mug") == Similarity(texts).to("Sink, sink: mug!")
