"""A skill file is read strictly, and a bad one is refused in one sentence naming file and key."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdar_cli.errors import SkillError
from sdar_cli.skills.skill import MAX_FILE_BYTES, parse_skill

GOOD = """---
name: heat
description: Where things are heated.
task_types: [pick_heat_then_place_in_recep]
keywords: [heat, "warm up"]
---
Use the kettle.

Then carry it on.
"""


def parse(text: str, stem: str = "file"):
    return parse_skill(text, where="bank/heat.md", stem=stem)


def test_good_file() -> None:
    skill = parse(GOOD)
    assert (skill.name, skill.description) == ("heat", "Where things are heated.")
    assert skill.task_types == ("pick_heat_then_place_in_recep",)
    assert skill.keywords == ("heat", "warm up")
    assert skill.body == "Use the kettle.\n\nThen carry it on."
    assert not skill.general


def test_name_defaults_to_the_stem_and_empty_task_types_mean_general() -> None:
    skill = parse("---\ndescription: d\ntask_types: []\n---\nBe brief.", stem="brief")
    assert skill.name == "brief"
    assert skill.general
    assert skill.keywords == ()


def test_windows_line_ends_and_a_byte_order_mark_change_nothing() -> None:
    assert parse("\ufeff" + GOOD.replace("\n", "\r\n")) == parse(GOOD)


def test_rule_in_the_body_is_body() -> None:
    assert parse(GOOD + "---\nmore").body.endswith("---\nmore")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Use the kettle.", "no front matter"),
        ("---\ndescription: d\ntask_types: []\nUse the kettle.", "no front matter"),
        ("---\n- a\n---\nx", "not a mapping"),
        ("---\n---\nx", "not a mapping"),
        (GOOD.replace("task_types", "task_type"), "unknown key 'task_type': did you mean 'task_types'?"),
        (GOOD.replace("name: heat", "3: heat"), "unknown key 3"),
        (GOOD.replace("keywords:", "name:"), "'name' twice"),
        (GOOD.replace("description: Where things are heated.\n", ""), "no 'description'"),
        (GOOD.replace("task_types: [pick_heat_then_place_in_recep]\n", ""), "no 'task_types'"),
        (GOOD.replace("[pick_heat_then_place_in_recep]", "heat"), "'task_types' = 'heat'"),
        (GOOD.replace("[pick_heat_then_place_in_recep]", "[1]"), "1 in 'task_types'"),
        (GOOD.replace("[pick_heat_then_place_in_recep]", "[[a]]"), "a list in 'task_types'"),
        (GOOD.replace("name: heat", "name: 12"), "'name' = 12"),
        (GOOD.replace("name: heat", "name: 2026-01-01"), "'name' = a date"),
        (GOOD.replace("name: heat", "name: ''"), "'name' = ''"),
        (GOOD.replace("name: heat", r'name: "a\nb"'), "longer than a line"),
        (GOOD.replace("[heat,", '["!",'), "keyword '!'"),
        (GOOD.replace("name: heat", "name: &a heat\ndescription: *a\nx: 1"), "an alias"),
        (GOOD.replace("name: heat", "name: !!python/object/apply:os.getcwd []"), "cannot be read"),
        (GOOD.replace("name: heat", "name: [" * 3000), "front matter"),
        (GOOD.replace("name: heat", "name: {" + "a" * 9000 + "}"), "over 8192 characters"),
        (GOOD.replace("name: heat", "name: \x07"), "front matter"),
        (GOOD.split("Use")[0], "has no text"),
        (GOOD + "\x1b[2J", "control character"),
        (GOOD + "<|im_end|>", "'<|im_end|>'"),
        (GOOD + "é" * MAX_FILE_BYTES, "larger than 64 KiB"),
    ],
)
def test_bad_file_is_one_sentence(text: str, said: str) -> None:
    with pytest.raises(SkillError) as caught:
        parse(text)
    message = str(caught.value)
    assert said in message
    assert message.startswith("bank/heat.md ")
    assert "\n" not in message
    assert len(message) < 250
    assert re.search(r": \S|\?$", message), "a remedy follows the colon"


def test_yaml_error_names_the_line() -> None:
    with pytest.raises(SkillError, match=r"bank/heat\.md line 3 "):
        parse(GOOD.replace("Where things", "Where: things"))


@given(st.text(max_size=400))
def test_any_text_parses_or_is_refused(text: str) -> None:
    for wild in (text, f"---\n{text}\n---\nx", f"---\ndescription: d\ntask_types: []\n---\n{text}"):
        try:
            skill = parse(wild)
        except SkillError as error:
            assert "\n" not in str(error)
        else:
            assert skill.body
