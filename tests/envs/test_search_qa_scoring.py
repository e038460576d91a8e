"""Exact match: which answers equal a golden one, worked by hand; and what never matters."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdar_envs.search_qa.scoring import exact_match, normalise


@pytest.mark.parametrize(
    ("answer", "targets", "same"),
    [
        # case, spaces, punctuation
        ("Beijing", ["beijing"], True),
        ("BEIJING.", ["Beijing"], True),
        ("  Old\t\n Bell\u00a0", ["old bell"], True),
        ('"Old" (bell)!', ["Old Bell"], True),
        ("U.S.", ["US"], True),
        ("U S", ["US"], False),
        ("a-b", ["ab"], True),
        ("1,000", ["1000"], True),
        ("1.5", ["15"], True),
        ("$5", ["5"], True),
        ("rock & roll", ["rock roll"], True),
        ("it's", ["its"], True),
        # articles: whole words, anywhere, once punctuation is gone
        ("the Beijing", ["Beijing"], True),
        ("An old Bell", ["old bell"], True),
        ("Lord of the Rings", ["The Lord of Rings"], True),
        ("theatre", ["atre"], False),
        ("anathema", ["athema"], False),
        ("banana", ["bn"], False),
        ("(the) bell", ["bell"], True),
        ("a.n bell", ["bell"], True),
        ("the-end", ["end"], False),
        ("The", ["A"], True),
        ("vitamin A", ["vitamin"], True),
        # what counts
        ("Beijing, China", ["Beijing"], False),
        ("It is Beijing", ["Beijing"], False),
        ("Beyoncé", ["Beyonce"], False),
        ("“Bell”", ["Bell"], False),
        ("cafe\u0301", ["caf\u00e9"], False),
        ("STRASSE", ["straße"], False),
        ("1912", ["1913"], False),
        ("42", ["forty-two"], False),
        # several targets, or none
        ("China", ["Beijing", "China"], True),
        ("Beijing China", ["Beijing", "China"], False),
        ("yes", ["yes", "Yes."], True),
        ("42", [], False),
        ("x", [""], False),
    ],
)
def test_the_table(answer: str, targets: list[str], same: bool) -> None:
    assert exact_match(answer, targets) is same
    assert exact_match(answer, reversed(targets)) is same, "the order of targets does not matter"


# Lower-cased, İ is an i and a dot that parts words.
letters = st.characters(categories=("L", "N"), exclude_characters="İ")
words = st.lists(st.text(letters, min_size=1, max_size=8), min_size=1, max_size=5)
noise = st.sampled_from([" ", "  ", "\t", " the ", " A ", " an. ", "! ", " - ", " 'The' "])


@given(words, st.lists(noise, min_size=6, max_size=6))
def test_articles_spaces_and_punctuation_between_words_do_not_matter(text: list[str], between: list[str]) -> None:
    spread = between[0] + "".join(word + gap for word, gap in zip(text, between[1:], strict=False))
    assert exact_match(spread, [" ".join(text)])
    assert exact_match(" ".join(text), [spread])


@given(words, st.sampled_from(string.punctuation), st.integers(0, 40))
def test_nor_does_punctuation_inside_a_word(text: list[str], mark: str, place: int) -> None:
    joined = " ".join(text)
    assert exact_match(joined[:place] + mark + joined[place:], [joined])


@given(words, words)
def test_other_words_never_match(one: list[str], other: list[str]) -> None:
    plain = [[word.lower() for word in text if word.lower() not in ("a", "an", "the")] for text in (one, other)]
    assert exact_match(" ".join(one), [" ".join(other)]) == (" ".join(plain[0]) == " ".join(plain[1]))


@given(st.text())
def test_any_text_is_normalised_and_matches_itself(text: str) -> None:
    assert exact_match(f"  {text} ", [text])
    once = normalise(text)
    assert once == once.strip() and "  " not in once
