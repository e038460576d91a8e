"""Tag parsing: strict, total, linear."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdar_envs.base import Action, Invalid
from sdar_envs.tags import REASONS, parse_tags

PIECES = [
    "<think>",
    "</think>",
    "<action>",
    "</action>",
    "<ACTION>",
    "</Think>",
    "<actıon>",
    "</ACTİON>",
    "<thınK>",
    "go to",
    " ",
    "\n",
    "\x00",
    "<",
    "é",
]


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("<action>go to desk 1</action>", "go to desk 1"),
        ("<THINK>why</think> so <Action>\n Go  to\tdesk </ACTION> done", "go to desk"),
        ("<think></think><action>look</action>", "look"),
        ("<action>take <b> off</action>", "take <b> off"),
    ],
)
def test_reads_the_action(text: str, action: str) -> None:
    assert parse_tags(text, think="optional") == Action(action)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no action tag"),
        ("go to desk", "no action tag"),
        ("<action>go", "unclosed action tag"),
        ("go</action>", "unopened action tag"),
        ("</action>go<action>", "unopened action tag"),
        ("<action>a</action><action>b</action>", "two actions"),
        ("<action>a<action>b</action>", "two actions"),
        ("<action> \n </action>", "empty action"),
        ("<think>a<action>b</action>", "unclosed think tag"),
        ("a</think><action>b</action>", "unopened think tag"),
        ("<think>a</think><think>b</think><action>c</action>", "two thinks"),
        ("<action>b</action><think>a</think>", "think after action"),
        ("<think>a<action>b</action></think>", "tag inside a tag"),
        ("<action><think>a</think>b</action>", "tag inside a tag"),
    ],
)
def test_says_why_there_is_none(text: str, reason: str) -> None:
    assert parse_tags(text, think="optional") == Invalid(reason)
    assert reason in REASONS


def test_think_may_be_required() -> None:
    assert parse_tags("<action>look</action>", think="required") == Invalid("no think tag")
    assert parse_tags("<think>x</think><action>look</action>", think="required") == Action("look")


@given(
    st.lists(st.sampled_from(PIECES), max_size=12).map("".join) | st.text(),
    st.sampled_from(["required", "optional"]),
)
def test_is_total(text: str, think) -> None:
    answer = parse_tags(text, think=think)
    if isinstance(answer, Invalid):
        assert answer.reason in REASONS
    else:
        assert answer.text and answer.text == " ".join(answer.text.split())
        lowered = text.lower()
        assert lowered.count("<action>") == lowered.count("</action>") == 1


@pytest.mark.parametrize("piece", ["<action>", "</think><action>", "<", "<action", "a" * 8, "\x00"])
def test_megabytes_of_anything_are_read_in_one_pass(piece: str) -> None:
    text = piece * (4_000_000 // len(piece))
    assert isinstance(parse_tags(text, think="required"), Invalid)
    wrapped = parse_tags(f"<action>x</action>{'a < b ' * 500_000}", think="optional")
    assert wrapped == Action("x")
