"""Responses of Search-QA: strict, total, linear."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdar_envs.base import Action, Invalid
from sdar_envs.search_qa.parsing import REASONS, parse_response, read_action, tagged, write_action

TAGS = [f"<{slash}{name}>" for name in ("think", "search", "answer") for slash in ("", "/")]
PIECES = [*TAGS, "<SEARCH>", "</Think>", "<ſearch>", "</anſwer>", "<thınk>", "words", " ", "\n", "\x00", "<", "]", "é"]


@pytest.mark.parametrize(
    ("response", "action"),
    [
        ("<think>so</think><search>old Bell</search>", "search[old Bell]"),
        ("<think></think>\n<answer> The\n Bell </answer> bye", "answer[The Bell]"),
        ("<THINK>x</Think><Search>q</SEARCH>", "search[q]"),
        ("Well. <think>x</think> I search <search>q</search>", "search[q]"),
        ("<think>close it with </search></think><answer>42</answer>", "answer[42]"),
        ("<think>a</search> b </answer> c</think><search>q</search>", "search[q]"),
        ("<think>x</think><answer>[1] a < b ]</answer>", "answer[[1] a < b ]]"),
    ],
)
def test_reads_the_action(response: str, action: str) -> None:
    assert parse_response(response) == Action(action)


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        ("", "no search or answer"),
        ("<think>x</think> The answer is 42.", "no search or answer"),
        ("<think>stop at </search></think>", "no search or answer"),
        ("42</answer>", "unopened answer tag"),
        ("<think>x</think>q</search>", "unopened search tag"),
        ("<search>q</search>", "no think tag"),
        ("<think>x<search>q</search>", "unclosed think tag"),
        ("x</think><search>q</search>", "unopened think tag"),
        ("<think>a</think><think>b</think><search>q</search>", "two thinks"),
        ("<think>a<think>b</think><search>q</search>", "two thinks"),
        ("<think>a</think></think><search>q</search>", "two thinks"),
        ("<search>q</search><think>x</think>", "think after action"),
        ("</answer><think>x</think><answer>42</answer>", "think after action"),
        ("<think>x<search>q</search></think>", "tag inside a tag"),
        ("<think>I <search> now</think><search>q</search>", "tag inside a tag"),
        ("<think>x</think><search><answer>a</answer></search>", "tag inside a tag"),
        ("<think>x</think><answer>a</search></answer>", "tag inside a tag"),
        ("<think>x</think><search>q</search><answer>a</answer>", "search and answer"),
        ("<think>x</think><answer>a</answer><search>q</search>", "search and answer"),
        ("<think>x</think><search>q</search><search>r</search>", "two searches"),
        ("<think>x</think><search>q<search>r</search>", "two searches"),
        ("<think>x</think><search>q</search></search>", "two searches"),
        ("<think>x</think><answer>a</answer><answer>a</answer>", "two answers"),
        ("<think>x</think><search>q", "unclosed search tag"),
        ("<think>x</think><answer>a", "unclosed answer tag"),
        ("<think>x</think><answer>a</search>", "unclosed answer tag"),
        ("<think>x</think></search><answer>a</answer>", "unopened search tag"),
        ("<think>x</think><search>q</search></answer>", "unopened answer tag"),
        ("<think>x</think></answer><answer>a</answer>", "unopened answer tag"),
        ("<think>x</think><search> \n</search>", "empty search"),
        ("<think>x</think><answer></answer>", "empty answer"),
    ],
)
def test_says_why_there_is_none(response: str, reason: str) -> None:
    assert parse_response(response) == Invalid(reason)
    assert reason in REASONS


wild = st.lists(st.sampled_from(PIECES), max_size=14).map("".join) | st.text()


@given(wild)
def test_is_total(response: str) -> None:
    parsed = parse_response(response)
    if isinstance(parsed, Invalid):
        assert parsed.reason in REASONS
        return
    move = read_action(parsed.text)
    assert move is not None
    kind, text = move
    assert parsed.text == write_action(kind, text)
    thought, _, acted = response.lower().partition("</think>")
    assert thought.count("<think>") == 1 and "<search>" not in thought and "<answer>" not in thought
    assert acted.count(f"<{kind}>") == acted.count(f"</{kind}>") == 1
    other = "answer" if kind == "search" else "search"
    assert f"<{other}>" not in acted and f"</{other}>" not in acted


@given(st.sampled_from(["search", "answer"]), st.text(min_size=1).map(str.split).map(" ".join).filter(bool))
def test_an_action_comes_back_from_its_response(kind: str, text: str) -> None:
    action = write_action(kind, text)
    assert read_action(action) == (kind, text)
    if "<" not in text:
        assert parse_response(f"<think></think>{tagged(action)}") == Action(action)


@pytest.mark.parametrize("piece", ["<search>", "</think><answer>", "<think>", "<", "</answer", "a" * 8, "[", "] "])
def test_megabytes_of_anything_are_read_in_one_pass(piece: str) -> None:
    text = piece * (2_000_000 // len(piece))
    assert isinstance(parse_response(text), Invalid)
    assert parse_response(f"<think>{'a < b ' * 300_000}</think><search>x</search>") == Action("search[x]")
    assert read_action(f"search{text}") is None or piece == "["


@pytest.mark.parametrize(
    ("typed", "move"),
    [
        ("search[old Bell]", ("search", "old Bell")),
        (" Answer [ 42 ] ", ("answer", "42")),
        ("answer[[1] of [2]]", ("answer", "[1] of [2]")),
        ("search[]", None),
        ("search[ ]", None),
        ("search old Bell", None),
        ("search[old Bell", None),
        ("look[old Bell]", None),
        ("", None),
        ("[x]", None),
        ("(invalid: two answers)", None),
    ],
)
def test_what_a_person_types(typed: str, move: tuple[str, str] | None) -> None:
    assert read_action(typed) == move
