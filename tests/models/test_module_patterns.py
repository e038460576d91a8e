"""Regular expressions of modules: those in use are taken, and whatever is taken ends."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdar_cli.models.module_patterns import LONGEST, ends

NAME = "model.language_model.layers.12.self_attn.q_proj"
OF_VISION = (
    r"(?:.*?(?:vision|image|visual|patch|language|text).*?(?:self_attn|attention|attn|mlp|feed_forward|ffn|dense).*?"
    r"(?:k_proj|v_proj|q_proj|out_proj|fc1|fc2|o_proj|gate_proj|up_proj|down_proj).*?)"
    r"|(?:\bmodel\.layers\.[\d]{1,}\.(?:self_attn|attention|attn|mlp)\.(?:(?:k_proj|q_proj|v_proj)))"
)


@pytest.mark.parametrize(
    "expression",
    [
        *(r".*\.(q_proj|v_proj)$", "lm_head|embed", r".*\.layers\.[0-3]\.q_proj", OF_VISION, "^model", "q_proj", ""),
        *(r"model\.layers\.\d+\.mlp\.(gate|up)_proj", "(?:a|ab)c?", r"[^.]+\.q_proj", "all-linear"),
    ],
)
def test_those_in_use(expression: str) -> None:
    assert ends(expression)


@pytest.mark.parametrize(
    "expression",
    [
        *(r"(\w+)+x", "([a-z_.0-9]+)+!", "(a|a)" * 30, "(.|.)" * 30, ".*" * 5, "(a*)*", "(?:a*){9}"),
        *("((a|a)|(a|a))" * 12, "a{2}{3}", "a**", "a*+", "(", "a)", "(?i)a", "(?=a)b", "(?P<x>a)", r"\1", "[[a]]"),
        *("[z-a]", "a{5,2}", "é", "$*", "(" * 30 + ")" * 30, "a" * (LONGEST + 1), "a{9999}", "(?#x)", "\\", "["),
    ],
)
def test_those_that_are_refused(expression: str) -> None:
    assert not ends(expression)


def test_many_are_counted_together() -> None:
    names = [f"model.layers.{layer}.self_attn.{part}" for layer in range(200) for part in ("q_proj", "v_proj")]
    assert ends(*names, prefix=1)
    assert not ends(*names * 99, prefix=1)
    assert ends(OF_VISION) and not ends(OF_VISION, OF_VISION)


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from(r"abq_.*+?|()[]^$\\d{}13,:-"), max_size=40))
def test_whatever_is_taken_ends(expression: str) -> None:
    if ends(expression):
        before = time.process_time()
        re.fullmatch(expression, "a" * len(NAME) + "!")
        re.fullmatch(expression, NAME)
        assert time.process_time() - before < 5
