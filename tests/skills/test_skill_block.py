"""The block's text, and where it goes in a prompt."""

from __future__ import annotations

import copy

import pytest

from sdar_cli.errors import SkillError
from sdar_cli.skills import Retrieval, Skill, insert_block, render_block

HEAT = Skill("heat", "d", ("heat",), ("heat",), "Use the kettle.")
BRIEF = Skill("brief", "d", (), (), "Be brief.")

TURNS = [
    {"role": "user", "content": "Heat the mug."},
    {"role": "assistant", "content": "go"},
    {"role": "user", "content": "What next?"},
]
SYSTEM = [{"role": "system", "content": "You are in a house."}, *TURNS]


def test_block_holds_every_body_and_few_other_words() -> None:
    block = render_block(Retrieval((BRIEF, HEAT)))
    assert block == "Skills:\nBe brief.\n\nUse the kettle."
    assert render_block(Retrieval()) == ""


def test_user_placement_goes_in_front_of_the_first_user_message_only() -> None:
    out = insert_block(SYSTEM, "B", "user")
    assert out[1]["content"] == "B\n\nHeat the mug."
    assert [out[0], *out[2:]] == [SYSTEM[0], *SYSTEM[2:]]


def test_system_placement_makes_or_extends_the_system_message() -> None:
    assert insert_block(TURNS, "B", "system") == [{"role": "system", "content": "B"}, *TURNS]
    assert insert_block(SYSTEM, "B", "system")[0]["content"] == "You are in a house.\n\nB"
    assert insert_block(SYSTEM, "B", "system")[1:] == TURNS


@pytest.mark.parametrize("placement", ["user", "system"])
@pytest.mark.parametrize("block", ["", "B"])
@pytest.mark.parametrize("messages", [TURNS, SYSTEM])
def test_input_is_never_changed(messages: list[dict[str, str]], block: str, placement: str) -> None:
    before = copy.deepcopy(messages)
    out = insert_block(messages, block, placement)
    assert (out == before) == (block == "")
    out[0]["content"] += "!"
    out.append({"role": "user", "content": "more"})
    assert messages == before


def test_no_user_message_is_an_error() -> None:
    with pytest.raises(SkillError, match="no user message"):
        insert_block([SYSTEM[0]], "B", "user")
