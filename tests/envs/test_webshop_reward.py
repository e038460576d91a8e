"""The native score: hand-worked vectors, thefuzz as the oracle, and what must hold for any purchase."""

from __future__ import annotations

import csv
import random
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from thefuzz import fuzz
from webshop_shelf import PLAIN, goal, product

from sdar_cli.errors import EnvironmentSetupError
from sdar_envs.webshop import titles
from sdar_envs.webshop.colors import COLOURS, normalise, normalise_pair
from sdar_envs.webshop.reward import alike, ratio, score, type_score
from sdar_envs.webshop.titles import matcher_name, naming_words, title_matcher

TABLE = Path(__file__).with_name("webshop_reward_vectors.csv")
VECTORS = list(csv.DictReader(TABLE.read_text(encoding="utf-8").splitlines()))


def listed(cell: str) -> tuple[str, ...]:
    return tuple(part for part in cell.split(";") if part)


def pairs(cell: str) -> tuple[Any, ...]:
    """``color=red;size=small`` as pairs, ``red;small`` as values."""
    return tuple(tuple(part.split("=")) if "=" in part else part for part in listed(cell))


@pytest.mark.parametrize("row", VECTORS, ids=[row["case"] for row in VECTORS])
def test_hand_worked_vectors(row: dict[str, str]) -> None:
    bought = product(
        name=row["bought_title"],
        query=row["bought_query"],
        product_category=row["bought_categories"],
        attributes=listed(row["bought_attributes"]),
        bullets=listed(row["bought_bullets"]),
        description=row["bought_description"],
        prices=(float(row["price"]),),
    )
    asked = goal(
        name=row["asked_title"],
        query=row["asked_query"],
        product_category=row["asked_categories"],
        attributes=listed(row["attributes"]),
        options=pairs(row["options"]),
        price_upper=float(row["limit"]),
    )
    found = score(bought, asked, dict(pairs(row["chosen"])), naming_words)
    assert found.title_match == pytest.approx(float(Fraction(row["title_match"])), abs=1e-12)
    assert found.r_type == float(row["r_type"])
    assert found.attributes == int(row["matched_attributes"])
    assert found.options == int(row["matched_options"])
    assert found.price == (row["within_price"] == "yes")
    assert found.total == pytest.approx(float(Fraction(row["score"])), abs=1e-12)
    assert (found.total == 1.0) == (row["score"] == "1")


def test_the_table_has_every_part_from_both_sides() -> None:
    assert len({row["case"] for row in VECTORS}) == len(VECTORS)
    assert {row["r_type"] for row in VECTORS} == {"0", "0.1", "0.5", "1"}
    assert {row["within_price"] for row in VECTORS} == {"yes", "no"}
    assert {row["title_match"] for row in VECTORS} >= {"0", "1/11", "1/10", "1/5", "2/9", "1"}


@pytest.mark.parametrize(
    ("title", "same", "other"),
    [
        (0.0, 0.0, 0.0),
        (1e-9, 0.1, 0.1),
        (0.0999999, 0.1, 0.1),
        (0.1, 1.0, 0.5),
        (0.2, 1.0, 0.5),
        (0.2000001, 1.0, 1.0),
        (1.0, 1.0, 1.0),
    ],
)
def test_the_type_score_at_its_thresholds(title: float, same: float, other: float) -> None:
    assert (type_score(True, title), type_score(False, title)) == (same, other)


def test_a_price_that_is_missing_counts_as_a_hundred() -> None:
    for limit, within in ((100.0, True), (99.99, False)):
        assert score(product(prices=()), goal(price_upper=limit), {}, naming_words).price == within


# --- thefuzz as the oracle ---

SYLLABLES = ("ka", "lo", "mi", "ren", "tu", "sa", "vel", "or", "ex", "pan")
_ODD = "Ünïcödé café ß コット naïve ½ x-large 3\u00d75 100% ' () | — \u00ad İ ﬁ"
ODD = tuple(_ODD.split(" "))


def phrases(count: int) -> Iterator[tuple[str, str]]:
    """Pairs that share words, letters, or nothing; with other scripts, punctuation, cases and pairs as text."""
    rng = random.Random(20_000)

    def word() -> str:
        if rng.random() < 0.15:
            return rng.choice(ODD)
        return "".join(rng.choices(SYLLABLES, k=rng.randint(1, 4)))

    for _ in range(count):
        words = [word() for _ in range(rng.randint(0, 6))]
        others = [w for w in words if rng.random() < 0.7] + [word() for _ in range(rng.randint(0, 3))]
        rng.shuffle(others)
        first, second = " ".join(words), rng.choice((" ", "-", ", ", "  ")).join(others)
        if rng.random() < 0.5 and second:
            place = rng.randrange(len(second))
            second = second[:place] + rng.choice("abc /|") + second[place + rng.randint(0, 2) :]
        if rng.random() < 0.2:
            second = str((rng.choice(("color", "size", "it's")), second))
        yield (first.upper() if rng.random() < 0.2 else first), second


def test_ratios_are_those_of_thefuzz_on_20_000_pairs() -> None:
    positives = differences = close = 0
    for first, second in phrases(20_000):
        expected = fuzz.token_set_ratio(first, second)
        differences += ratio(first, second) != expected or alike(first, second) != (expected > 85)
        positives += expected > 85
        close += 80 <= expected <= 90
    assert differences == 0
    assert positives > 2_000 and close > 1_000, "the pairs stand on both sides of the threshold"


@given(st.text(max_size=40), st.text(max_size=40))
def test_ratios_are_those_of_thefuzz_on_any_text(first: str, second: str) -> None:
    assert ratio(first, second) == fuzz.token_set_ratio(first, second)


@given(st.text(max_size=10), st.text(max_size=10))
def test_a_pair_compares_as_thefuzz_compares_the_tuple(name: str, value: str) -> None:
    pair: Any = next((colour for colour in COLOURS if colour in (name, value)), (name, value))
    assert ratio(value, normalise_pair(name, value)) == fuzz.token_set_ratio(value, pair)


# --- properties ---

words = st.sampled_from(["red", "navy blue", "standard", "small", "2 pack", "", "ünï"])
options = st.dictionaries(st.sampled_from(["color", "size", "fit"]), words, max_size=3)


@given(options, options, st.lists(words, max_size=3), st.text(max_size=30), st.floats(0, 100), st.booleans())
def test_a_score_is_between_0_and_1_and_made_of_its_parts(
    asked: dict[str, str], chosen: dict[str, str], attributes: list[str], title: str, limit: float, human: bool
) -> None:
    wanted = tuple(asked.values()) if human else tuple(asked.items())
    sought = goal(options=wanted, attributes=tuple(attributes), name=title, price_upper=limit)
    found = score(PLAIN, sought, chosen, naming_words)
    assert 0.0 <= found.total <= 1.0
    assert 0 <= found.attributes <= len(attributes) and 0 <= found.options <= len(asked)
    whole = len(attributes) + len(asked) + 1
    assert found.total == found.r_type * ((found.attributes + found.options + found.price) / whole)


def test_colours_are_in_upstreams_order_and_found_inside_of_words() -> None:
    assert list(COLOURS) == sorted(set(COLOURS)) and len(COLOURS) == 102
    assert normalise("dark blue") == "blue", "the first name in the list, not in the value"
    assert (normalise("standard"), normalise("x-large"), normalise("")) == ("tan", "x-large", "")
    assert normalise_pair("color", "red") == "red"
    assert normalise_pair("color", "dark red") == "('color', 'dark red')"


# --- titles ---


def test_naming_words_keep_their_order_and_repetitions() -> None:
    words = naming_words("The Red-Hot 10in Chili's Red Mug (2 Pack) for U")
    assert words == ("red", "hot", "chili", "red", "mug", "pack")


def test_words_are_taken_where_spacys_model_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(titles.importlib.util, "find_spec", lambda name: None)
    assert title_matcher().name == matcher_name() == "words"
    assert title_matcher().nouns("Red Nike Shoes for running") == ("red", "nike", "shoes", "running")


def spacy_of(monkeypatch: pytest.MonkeyPatch, load: Any) -> None:
    module = ModuleType("spacy")
    module.load = load  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "spacy", module)
    monkeypatch.setattr(titles.importlib.util, "find_spec", lambda name: SimpleNamespace(name=name))
    titles._choose.cache_clear()
    monkeypatch.setattr(titles, "_choose", titles._choose.__wrapped__)


def test_spacys_nouns_are_taken_where_its_model_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    tags = {"Red": "ADJ", "Nike": "PROPN", "Shoes": "NOUN", "for": "ADP", "running": "VERB"}

    def load(name: str, exclude: list[str]) -> Any:
        assert name == "en_core_web_sm" and "tagger" not in exclude
        return lambda title: [SimpleNamespace(text=word, pos_=tags[word]) for word in title.split()]

    spacy_of(monkeypatch, load)
    matcher = title_matcher()
    assert matcher.name == matcher_name() == "en_core_web_sm"
    assert matcher.nouns("Red Nike Shoes for running") == ("nike", "shoes")


def test_a_model_that_cannot_be_loaded_is_an_error_not_a_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str, exclude: list[str]) -> Any:
        raise OSError("[E050] Can't find\nmodel")

    spacy_of(monkeypatch, load)
    assert matcher_name() == "en_core_web_sm", "the name is known without loading it"
    says = r"en_core_web_sm is installed but cannot be loaded .*E050.* model\)"
    with pytest.raises(EnvironmentSetupError, match=says):
        title_matcher()
