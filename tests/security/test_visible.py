"""What nobody sees is shown as its number, and what a language or an emoji is written with stays."""

from __future__ import annotations

import json
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from sdar_cli.cli.render import print_json
from sdar_cli.errors import SkillError
from sdar_cli.evaluation.table_parts import escape
from sdar_cli.skills.skill import parse_skill
from sdar_cli.visible import escaped, visible

WRITTEN = (
    "می\u200cخواهم",
    "عليه\u200d و",
    "ക്\u200dഷ ന്\u200d",
    "ක්\u200dෂ",
    "\u1820\u180b",
    "👩\u200d🔬 👩🏽\u200d🔬",
    "🏳\ufe0f\u200d🌈 ❤\ufe0f\u200d🔥 👁\ufe0f\u200d🗨\ufe0f",
    "🧔\u200d♂\ufe0f 1\ufe0f\u20e3 ©\ufe0f",
    "葛\U000e0100 葛\ufe00",
    "㊗\ufe0f ㊙\ufe0f Ⓜ\ufe0f ™\ufe0f",
    "！\ufe00 ，\ufe01 ？\ufe00",
    "\ua856\ufe00 \u2a9d\ufe00 \u2229\ufe00",
    "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f.",
    "\U0001f3f4\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007fa",
    "e\u0301 שלום 日本語 \t",
)
HIDDEN = (
    "a\u200cb",
    "a\u200db",
    "日\u200d本",
    "\u200d",
    "🔬\u200d",
    "🔬\u200d 🔬",
    "\u200c🔬",
    "می\u200c\u200dخ",
    "a\ufe0f",
    " \ufe01",
    "❤\ufe0f\ufe01",
    "a\ufe0f\u200d❤",
    "👩\u200d\ufe0f",
    "葛\U000e0100\U000e0101",
    "a\U000e0100",
    "\U000e0041",
    "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067",
    "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f\U000e0067",
    "\U0001f3f4\U000e0068\U000e0069\U000e007f",
    "\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "a\u00adb",
    "a\u034fb",
    "\u3164",
    "\u1160",
    "\u200f",
    "\u2066",
    "\x9b31m",
    "\ud83d",
)


@pytest.mark.parametrize("text", WRITTEN, ids=ascii)
def test_what_is_written_stays(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert visible(text) == text
    assert _skill(text) == text
    print_json({"a": text})
    assert capsys.readouterr().out == json.dumps({"a": text}, indent=2, ensure_ascii=False) + "\n"


@pytest.mark.parametrize("text", HIDDEN, ids=ascii)
def test_what_is_hidden_is_shown(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "⟨U+" in visible(text)
    print_json({text: [text]})
    out = capsys.readouterr().out
    assert visible(out) == out and json.loads(out) == {text: [text]}


@pytest.mark.parametrize("text", ["a\u200cb", "a\ufe0f", "a\U000e0100", "\u202e"])
def test_a_skill_may_not_hide_it(text: str) -> None:
    with pytest.raises(SkillError, match="which nobody sees"):
        _skill(text)


def test_a_tables_label_is_obeyed_by_nothing() -> None:
    """The task types of somebody's data, in the tables of an evaluation."""
    text = Text.from_markup(escape("\x1b[2J[red]a\u202e"))
    assert text.plain == "⟨U+001B⟩[2J[red]a⟨U+202E⟩"


@given(
    st.text(
        st.sampled_from('\u200c\u200d\ufe0f\ufe01\U000e0100\u202e\x9b\\"\ud800\udc00\u061c\u180e🔬❤葛مa 1'), max_size=12
    )
)
def test_nothing_that_is_left_hides_more_than_one_mark(text: str) -> None:
    shown = visible(text)
    assert visible(shown) == shown
    unseen = [letter in "\u200c\u200d\ufe0f\ufe01\U000e0100" for letter in shown]
    assert not any(one and more and shown[at] != "\ufe0f" for at, (one, more) in enumerate(pairwise(unseen)))
    written = escaped(json.dumps([text], ensure_ascii=False))
    assert json.loads(written) == json.loads(json.dumps([text])) and visible(written) == written


@pytest.mark.parametrize("text", ["\u200d", "م\u200c", "❤\ufe0f", "🔬\u200d", "🏴\U000e0067\U000e0062"])
def test_long_ones_take_time_in_proportion(text: str) -> None:
    began = time.process_time()
    visible(text * 100_000)
    assert time.process_time() - began < 20


def _skill(text: str) -> str:
    return parse_skill(
        f"---\nname: a\ndescription: d\ntask_types: []\n---\n{text}x", where="x.md", stem="x"
    ).body.removesuffix("x")
