"""Words, stop words and stems, held to Lucene's documented behaviour and to Porter's own examples."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdar_envs.bm25 import analyse
from sdar_envs.bm25.analysis import LONGEST, STOP_WORDS


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", []),
        ("  -- !? ... _ ", []),
        ("The red AND the blue", ["red", "blue"]),
        ("t-shirt x_y foo.bar", ["t", "shirt", "x_y", "foo.bar"]),
        ("1,000.50 3.5mm 4x4", ["1,000.50", "3.5mm", "4x4"]),
        ("a1,b 1.a a.1", ["a1", "b", "1", "1"]),
        ("women's don't rock'n'roll", ["women", "don't", "rock'n'rol"]),
        ("the 'apple 'été’ it’s 'box", ["appl", "été", "box"]),
        ("MEN'S women’s women＇S", ["men", "women", "women"]),
        ("material:cotton size: m 3:1", ["material:cotton", "size", "m", "3", "1"]),
        ("über：café:crème", ["über：café:crèm"]),
        ("東京 タワー ひと", ["東", "京", "タワー", "ひ", "と"]),
        ("naïve—soft™ 【wool】", ["naïv", "soft", "wool"]),
    ],
)
def test_terms(text: str, terms: list[str]) -> None:
    assert analyse(text) == terms


def test_the_stop_words_are_lucenes_33() -> None:
    assert len(STOP_WORDS) == 33
    assert analyse(" ".join(sorted(STOP_WORDS))) == []
    assert analyse("from you have") == ["from", "you", "have"]


PORTER = """
caresses caress ponies poni ties ti caress caress cats cat feed feed agreed agre plastered plaster bled bled
motoring motor sing sing conflated conflat troubled troubl sized size hopping hop tanned tan falling fall
hissing hiss fizzed fizz failing fail filing file happy happi sky sky relational relat conditional condit
rational ration digitizer digit radically radic differently differ analogously analog operator oper
feudalism feudal decisiveness decis hopefulness hope callousness callous sensibility sensibl triplicate triplic
formative form formalize formal electrical electr hopeful hope goodness good revival reviv allowance allow
inference infer airliner airlin adjustable adjust defensible defens irritant irrit replacement replac
adjustment adjust dependent depend adoption adopt activate activ effective effect bowdlerize bowdler
probate probat rate rate cease ceas controlling control rolling roll
"""
"""Word and stem in turn, from Porter's paper of 1980."""

DEPARTURES = """
us us xs xs possibly possibl incredibly incred terribly terribl technology technolog technologies technolog
apology apolog trekking trek trekked trek yakking yak bookkeeper bookkeep logy logi
"""
"""Where the paper and its author's program part: this is the program, which Lucene follows."""


@pytest.mark.parametrize("table", [PORTER, DEPARTURES])
def test_stems(table: str) -> None:
    words = table.split()
    for word, stem in zip(words[::2], words[1::2], strict=True):
        assert analyse(word) == [stem], word


def test_a_long_word_is_cut() -> None:
    assert [len(term) for term in analyse("7" * (2 * LONGEST + 3))] == [LONGEST, LONGEST, 3]
    assert [len(term) for term in analyse("é" * (LONGEST + 1))] == [LONGEST, 1]


@given(st.text(string.printable, max_size=60) | st.text("abeisx'.:,;_19 -", max_size=14))
def test_ascii_is_cut_as_unicode_is(text: str) -> None:
    """Text with a letter beyond ASCII goes another way, by the general rules."""
    assert [*analyse(text), "é"] == analyse(f"{text} é")


@given(st.text(max_size=60))
def test_any_text_gives_terms_of_letters_or_digits(text: str) -> None:
    for term in analyse(text):
        assert 0 < len(term) <= LONGEST
        assert any(map(str.isalnum, term))
