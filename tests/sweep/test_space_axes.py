"""Axes as typed: what each form means, what is refused and how, and that any text is the one or the other."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdar_cli.errors import RecipeError
from sdar_cli.recipe.overrides import parse_override
from sdar_cli.sweep.draws import draw, draws, rounded
from sdar_cli.sweep.space import Axis, SpaceError, as_yaml, check_keys, read_value, read_word, read_words, split_commas


@pytest.mark.parametrize(
    ("word", "choices"),
    [
        ("gate.temperature=0.1,0.2,1,5", (0.1, 0.2, 1, 5)),
        ("method=grpo,sdar", ("grpo", "sdar")),
        ("warmup.epochs= 1 , 2 ", (1, 2)),
        ("a=null,true,1e-6", (None, True, 1e-6)),
        ("a=[1e-4,8],[1e-3,7]", ([1e-4, 8], [1e-3, 7])),
        ("a={x: 1, y: 2},null", ({"x": 1, "y": 2}, None)),
        ("a='x,y',z", ("x,y", "z")),
        ('a="say \\"a,b\\"",z', ('say "a,b"', "z")),
        ("a=don't,won't", ("don't", "won't")),
        ("a='1','2'", ("1", "2")),
        ("a=1..2,3", ("1..2", 3)),
    ],
)
def test_choices(word: str, choices: tuple) -> None:
    axis = read_word(word)
    assert axis == Axis(word.partition("=")[0], choices=choices)
    assert [type(choice) for choice in axis.choices] == [type(choice) for choice in choices]
    assert axis.values == choices and axis.count == len(choices)


@pytest.mark.parametrize(
    ("word", "wanted", "values"),
    [
        ("a=0..1", Axis("a", low=0.0, high=1.0), None),
        ("a=-.5 .. +1e1", Axis("a", low=-0.5, high=10.0), None),
        ("a=log:1e-3..1e-1", Axis("a", low=1e-3, high=0.1, log=True), None),
        ("a=0..1/0.25", Axis("a", low=0.0, high=1.0, step=0.25), (0.0, 0.25, 0.5, 0.75, 1.0)),
        ("a=0.1..0.35/0.1", Axis("a", low=0.1, high=0.35, step=0.1), (0.1, 0.2, 0.3)),
        ("a=0..0.3/0.1", Axis("a", low=0.0, high=0.3, step=0.1), (0.0, 0.1, 0.2, 0.3)),
        ("a=int:2..5", Axis("a", low=2.0, high=5.0, integer=True), (2, 3, 4, 5)),
        ("a=int:2..9/3", Axis("a", low=2.0, high=9.0, step=3.0, integer=True), (2, 5, 8)),
        ("a=log:int:1..3", Axis("a", low=1.0, high=3.0, log=True, integer=True), (1, 2, 3)),
        ("a=int:log:1..3", Axis("a", low=1.0, high=3.0, log=True, integer=True), (1, 2, 3)),
    ],
)
def test_ranges(word: str, wanted: Axis, values: tuple | None) -> None:
    axis = read_word(word)
    assert axis == wanted
    assert axis.values == values
    assert axis.count == (None if values is None else len(values))
    if values is not None:
        assert all(type(value) is (int if axis.integer else float) for value in axis.values)


@pytest.mark.parametrize(
    "word", ["gate.beta=5", "skills.bank=../bank", "a=1..", "a=..2", "a=", "a=[1, 2]", "a='1,2'", "model.path=a/log:b"]
)
def test_one_value_is_an_override(word: str) -> None:
    assert read_word(word) is None
    assert read_words([word]) == ((), (word,))


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("a=1,", "the axis a has an empty choice between its commas: remove a comma, or write null"),
        ("a=,", "the axis a has an empty choice between its commas: remove a comma, or write null"),
        ("a=1,2,1.0", "the axis a has 1 twice: keep it once"),
        ("a=x,'x'", "the axis a has x twice: keep it once"),
        ("a=.inf,1", "the axis a has a choice that is not finite: give numbers with an end"),
        ("a=5..1", "the axis a=5..1 does not rise: give the lower end first, or one value without '..'"),
        ("a=1..1", "the axis a=1..1 does not rise: give the lower end first, or one value without '..'"),
        ("a=log:0..1", "the axis a=log:0..1 starts at 0, which has no logarithm: start above 0"),
        (
            "a=log:1..9/2",
            "the axis a=log:1..9/2 has a step on a logarithmic axis: list the values instead, with commas",
        ),
        ("a=0..1/3", "the axis a=0..1/3 has a step that does not fit between its ends: give one of at most 1"),
        ("a=0..1/-0.5", "the axis a=0..1/-0.5 has a step that does not fit between its ends: give one of at most 1"),
        ("a=int:0.5..2", "the axis a=int:0.5..2 is not whole: give whole numbers, or leave 'int:' out"),
        ("a=int:0..1e17", "the axis a=int:0..1e17 is too large for whole numbers: stay below 2^53"),
        ("a=0..1e999", "the axis a=0..1e999 is not finite: give ends that a computer can hold"),
        ("a=log:x", "the axis a=log:x is no range: write for example a=log:1..10"),
        ("a=int:int:1..2", "the axis a=int:int:1..2 is no range: write for example a=int:1..10"),
        ("seed=1,2", "seed cannot be an axis, as a cell is a setting over seeds: give them with --seeds"),
        (
            "name=a,b",
            "name cannot be an axis, as it names a run and changes nothing: remove it, or name the study with",
        ),
        (
            "tracking.note=a,b",
            "tracking.note cannot be an axis, as it changes where runs are shown and not what they do",
        ),
    ],
)
def test_what_is_no_axis(word: str, sentence: str) -> None:
    with pytest.raises(SpaceError) as error:
        read_words([word])
    assert str(error.value).startswith(sentence) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["a=1,2", "a=3,4"], "a is given twice: keep one of them"),
        (["a=1,2", "a=3"], "a is given twice: keep one of them"),
        (
            ["gate.temperature=1,2", "gate.beta=1,2"],
            "gate.temperature and gate.beta are the same wish: keep one of them",
        ),
        (["gate.beta=1", "gate.temperature=1,2"], "gate.beta and gate.temperature are the same wish: keep one of them"),
        (
            ["warmup=null,{epochs: 1}", "warmup.batch=8"],
            "warmup.batch and warmup set the same section: keep one of them",
        ),
    ],
)
def test_keys_that_get_in_each_others_way(words: list[str], sentence: str) -> None:
    with pytest.raises(SpaceError) as error:
        read_words(words)
    assert str(error.value).startswith(sentence)


def test_overrides_may_repeat_as_for_a_training() -> None:
    check_keys([], ["a=1", "a=2"])
    assert read_words(["a=1", "a=2"]) == ((), ("a=1", "a=2"))


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**12), 10**12),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=12),
    st.lists(st.integers(0, 9), max_size=3),
)


@given(st.lists(scalars, min_size=2, max_size=5, unique_by=lambda value: json.dumps(value)))
def test_an_axis_is_written_as_it_is_read(values: list) -> None:
    try:
        axis = read_value("some.key", values)
    except SpaceError as error:
        assert " twice: " in str(error)  # 1 and 1.0
        return
    again = read_word(str(axis))
    assert again is not None and again.choices == axis.choices
    assert list(map(_kind, again.choices)) == list(map(_kind, values))


def _kind(value: object) -> type:
    """A whole number may be written with or without its point."""
    return float if type(value) is int else type(value)


@given(scalars)
def test_an_override_of_a_value_is_that_value(value: object) -> None:
    key, read = parse_override(f"some.key={as_yaml(value)}")
    assert key == "some.key" and read == value


@given(st.text(max_size=60))
def test_any_word_is_an_axis_an_override_or_a_sentence(word: str) -> None:
    _read(word)


@given(st.text(alphabet="0123456789.eE+-/,logint:[]{}'\" ~", max_size=30))
def test_any_value_is_an_axis_an_override_or_a_sentence(text: str) -> None:
    _read(f"some.key={text}")


def _read(word: str) -> None:
    try:
        axis = read_word(word)
    except RecipeError as error:
        assert str(error)
        return
    if axis is None:
        parse_override(word)
        return
    assert axis.choices is not None or axis.low < axis.high
    for share in (0.0, 0.3, 0.999999):
        _within(axis, draw(axis, share))


@given(st.text(alphabet="ab,'\"[]{}\\ ", max_size=30))
def test_splitting_loses_nothing(text: str) -> None:
    assert ",".join(split_commas(text)) == text


ends = st.floats(-1e6, 1e6, allow_nan=False)


@given(ends, ends, st.floats(0, 1, exclude_max=True))
def test_draws_of_a_range_stay_in_it(low: float, high: float, share: float) -> None:
    if low < high:
        axis = Axis("a", low=low, high=high)
        _within(axis, draw(axis, share))
        assert abs(rounded(low + share * (high - low), axis) - (low + share * (high - low))) <= (high - low) * 1.0001e-4


@given(st.integers(-1000, 1000), st.integers(1, 1000), st.integers(1, 50), st.floats(0, 1, exclude_max=True))
def test_draws_of_whole_numbers_are_on_their_steps(low: int, width: int, step: int, share: float) -> None:
    axis = Axis("a", low=float(low), high=float(low + width), step=float(min(step, width)), integer=True)
    value = draw(axis, share)
    assert type(value) is int and value in axis.values


def test_each_factor_of_ten_is_as_likely_on_a_logarithmic_axis() -> None:
    axis = read_word("a=log:1e-4..1")
    values = [params["a"] for _, params in zip(range(4000), draws([axis], 0), strict=False)]
    counts = [sum(low <= value < 10 * low for value in values) for low in (1e-4, 1e-3, 1e-2, 1e-1)]
    assert sum(counts) >= 3999 and all(abs(count - 1000) < 5 * math.sqrt(750) for count in counts)


def test_logarithmic_whole_numbers_reach_both_ends() -> None:
    axis = read_word("a=log:int:1..8")
    values = {params["a"] for _, params in zip(range(500), draws([axis], 0), strict=False)}
    assert values == set(range(1, 9))


def test_a_draw_depends_on_seed_and_position_alone() -> None:
    axes = [read_word("a=0..1"), read_word("b=x,y,z")]
    first = [params for _, params in zip(range(20), draws(axes, 3), strict=False)]
    assert first == [params for _, params in zip(range(20), draws(axes, 3), strict=False)]
    assert first != [params for _, params in zip(range(20), draws(axes, 4), strict=False)]
    assert len({json.dumps(params) for params in first}) == 20


def _within(axis: Axis, value: object) -> None:
    if axis.choices is not None:
        assert value in axis.choices
    else:
        assert axis.low <= value <= axis.high
