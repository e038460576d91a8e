"""Only known grammars are evaluated; everything else is refused in a sentence that names the file."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from alfworld_files import PROBLEM

from sdar_cli.errors import EnvironmentSetupError
from sdar_envs.alfworld.vetting import GAME_FILE, GOAL_PLACEHOLDER, read_game, vet

spec = find_spec("alfworld")
if spec is None or spec.submodule_search_locations is None:
    pytest.skip("the alfworld extra is not installed", allow_module_level=True)
RULES = Path(spec.submodule_search_locations[0]) / "data"


@pytest.fixture
def content() -> dict[str, Any]:
    grammar = (RULES / "alfred.twl2").read_text().replace(GOAL_PLACEHOLDER, "put a mug in desk")
    return {
        "pddl_domain": (RULES / "alfred.pddl").read_text(),
        "grammar": grammar,
        "pddl_problem": PROBLEM,
        "solvable": True,
        "walkthrough": ["look"],
    }


def test_a_known_game_passes(content: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / GAME_FILE
    file.write_text(json.dumps(content))
    game = read_game(file)
    assert game.goal_line == "put a mug in desk."
    assert GOAL_PLACEHOLDER in game.skeleton
    assert "put a mug" not in game.skeleton
    assert game.walkthrough == ("look",)


@pytest.mark.parametrize(
    ("key", "old", "new", "complaint"),
    [
        ("grammar", "You open the", "You {__import__('os').getpid()} open the", "grammar is not a known one"),
        ("grammar", "put a mug in desk", "put {__import__('os').getpid()}", "task line is not plain words"),
        ("grammar", "put a mug in desk", "put #intro#", "task line is not plain words"),
        ("grammar", "put a mug in desk", "put [x]", "task line is not plain words"),
        ("grammar", "put a mug in desk", "a\\u007bb", "task line is not plain words"),
        ("grammar", "Your task is to: ", "Do: ", "task line is not plain words"),
        (
            "pddl_domain",
            "(define (domain alfred)",
            "(define (domain other)",
            "PDDL domain is not a known one",
        ),
    ],
)
def test_anything_else_is_refused(content: dict[str, Any], key: str, old: str, new: str, complaint: str) -> None:
    assert old in content[key]
    content[key] = content[key].replace(old, new)
    with pytest.raises(EnvironmentSetupError, match=f"^the/file is refused because its {complaint}: ") as caught:
        vet(content, "the/file")
    assert "generated ones" in str(caught.value)


def test_a_second_task_line_is_refused(content: dict[str, Any]) -> None:
    content["grammar"] += '"rhs": "Your task is to: something else"'
    with pytest.raises(EnvironmentSetupError, match="task line is not plain words"):
        vet(content, "the/file")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"grammar": 3}',
        "null",
        pytest.param("[" * 100_000, id="deep"),
        '{"a":' * 100_000 + "1" + "}" * 100_000,
    ],
    ids=lambda text: text[:20],
)
def test_a_file_that_is_no_game_is_named(text: str, tmp_path: Path) -> None:
    file = tmp_path / GAME_FILE
    file.write_text(text)
    with pytest.raises(EnvironmentSetupError) as caught:
        read_game(file)
    assert str(file) in str(caught.value)
    assert "sdar data alfworld --fetch" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_and_a_huge_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentSetupError, match="does not exist"):
        read_game(tmp_path / GAME_FILE)
    huge = tmp_path / GAME_FILE
    with huge.open("wb") as out:
        out.truncate(5 * 2**20)
    with pytest.raises(EnvironmentSetupError, match="is larger than 4 MiB"):
        read_game(huge)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["pddl_domain", "grammar", "pddl_problem", "walkthrough"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(json_values)
def test_no_json_gets_through_by_accident(content: Any) -> None:
    with pytest.raises(EnvironmentSetupError):
        vet(content, "the/file")
