"""Tasks, prompts, parsing and skills of ALFWorld: what needs no engine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdar_cli.errors import EnvironmentSetupError
from sdar_cli.skills.bank import SkillBank
from sdar_envs.alfworld.environment import Alfworld, AlfworldOptions
from sdar_envs.alfworld.vetting import GAME_FILE
from sdar_envs.alfworld.world import TASK_TYPES
from sdar_envs.base import Action, Exchange, History, Invalid, Observation, Task

OPENING = (
    "-= Welcome to TextWorld, ALFRED! =-\n\nYou are in the middle of a room. Looking quickly around you, "
    "you see a desk 1, and a shelf 1.\n\nYour task is to: put some pen on shelf."
)
TASK = Task("valid_seen/x", "pick_and_place_simple")


def environment(**options: object) -> Alfworld:
    return Alfworld(AlfworldOptions.model_validate(options))


def history(turns: int, window: int = 2) -> History:
    seen = [Observation(OPENING, ("go to desk 1", "go to shelf 1", "look"))]
    seen += [Observation(f"You arrive at desk {number}.", (f"examine desk {number}",)) for number in range(1, 9)]
    past = tuple(Exchange(seen[index], f"go to desk {index + 1}") for index in range(turns))
    return History(TASK, "put some pen on shelf", past, seen[turns], window)


def official(root: Path, *games: str, tail: str = '"solvable": true, "walkthrough": []}') -> None:
    for game in games:
        folder = root / "json_2.1.1" / game
        folder.mkdir(parents=True)
        (folder / GAME_FILE).write_text('{"pddl_problem": "' + "x" * 90_000 + '", ' + tail)


# --- tasks ---


def test_official_tasks_are_sorted_and_filtered(tmp_path: Path) -> None:
    official(
        tmp_path,
        "valid_seen/pick_two_obj_and_place-Pen-None-Desk-1/trial_b",
        "valid_seen/look_at_obj_in_light-Mug-None-DeskLamp-1/trial_a",
        "valid_seen/pick_two_obj_and_place-Pen-None-Desk-1/trial_a",
        "valid_seen/pick_and_place_with_movable_recep-Pen-Mug-Desk-1/trial_a",
        "valid_seen/pick_heat_then_place_in_recep-AppleSliced-None-Desk-1/trial_a",
    )
    official(tmp_path, "valid_seen/pick_and_place_simple-A-None-B-1/t", tail='"solvable": false}')
    official(tmp_path, "valid_seen/pick_and_place_simple-A-None-B-2/t", tail='"walkthrough": null}')
    official(
        tmp_path,
        "valid_seen/pick_and_place_simple-A-None-B-3/t",
        tail='"solvable": true, "walkthrough": "' + "y" * 90_000 + '"}',
    )
    alfworld = environment(data=str(tmp_path))
    assert alfworld.splits == ("valid_seen",)
    assert [(task.id, task.task_type) for task in alfworld.tasks("valid_seen")] == [
        ("valid_seen/look_at_obj_in_light-Mug-None-DeskLamp-1/trial_a", "look_at_obj_in_light"),
        ("valid_seen/pick_and_place_simple-A-None-B-3/t", "pick_and_place_simple"),
        ("valid_seen/pick_two_obj_and_place-Pen-None-Desk-1/trial_a", "pick_two_obj_and_place"),
        ("valid_seen/pick_two_obj_and_place-Pen-None-Desk-1/trial_b", "pick_two_obj_and_place"),
    ]
    inside = environment(data=str(tmp_path / "json_2.1.1"))
    assert inside.tasks("valid_seen") == alfworld.tasks("valid_seen")


def test_the_type_of_an_oddly_named_game_is_read_from_its_trial(tmp_path: Path) -> None:
    official(tmp_path, "train/mine/trial")
    with pytest.raises(EnvironmentSetupError, match=r"traj_data.json does not say the game's task_type"):
        environment(data=str(tmp_path)).tasks("train")
    trial = tmp_path / "json_2.1.1/train/mine/trial/traj_data.json"
    trial.write_text("[" * 100_000)
    with pytest.raises(EnvironmentSetupError, match=r"traj_data.json does not say the game's task_type"):
        environment(data=str(tmp_path)).tasks("train")
    trial.write_text(json.dumps({"task_type": "look_at_obj_in_light"}))
    assert environment(data=str(tmp_path)).tasks("train")[0].task_type == "look_at_obj_in_light"


def test_missing_data_is_named_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALFWORLD_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(EnvironmentSetupError) as caught:
        environment().tasks("valid_seen")
    message = str(caught.value)
    assert message.startswith(f"the official ALFWorld games are not at {tmp_path}/nowhere/json_2.1.1/valid_seen: ")
    assert "`sdar data alfworld --fetch`" in message
    (tmp_path / "json_2.1.1" / "train").mkdir(parents=True)
    with pytest.raises(EnvironmentSetupError, match=r"holds no game.tw-pddl: fetch"):
        environment(data=str(tmp_path)).tasks("train")


@pytest.mark.parametrize(("games", "split"), [("official", "test"), ("generated", "valid_seen")])
def test_a_split_of_the_other_kind_is_refused(games: str, split: str) -> None:
    with pytest.raises(EnvironmentSetupError, match=f"{games} ALFWorld games have no split '{split}': use one of"):
        environment(games=games).tasks(split)


# --- prompts ---


@pytest.mark.parametrize("brief", [False, True])
@pytest.mark.parametrize("window", [0, 1, 2, 5])
@pytest.mark.parametrize("turns", [0, 1, 4])
def test_a_prompt_holds_what_the_protocol_says(brief: bool, window: int, turns: int) -> None:
    shown = history(turns, window)
    (message,) = environment(brief=brief).prompt(shown)
    text = message["content"]
    assert message["role"] == "user"
    assert text.count("put some pen on shelf") == 1, "the task, always and once"
    assert "Welcome" not in text
    for command in shown.observation.admissible:
        assert command in text
    visible = min(window, turns)
    for number in range(turns):
        assert (f"go to desk {number + 1}\n" in text) == (number >= turns - visible)
    assert (f"Steps taken so far: {turns}." if not brief else f"step {turns}.") in text
    assert ("middle of a room" in text) == (visible == turns)


def test_the_full_prompt_lists_quoted_commands_one_a_line_and_asks_for_both_tags() -> None:
    text = environment().prompt(history(0))[0]["content"]
    assert "\n'go to desk 1'\n'go to shelf 1'\n'look'\n" in text
    assert "<think> </think>" in text
    assert "<action> </action>" in text


def test_a_brief_prompt_is_less_than_half_as_long() -> None:
    full, brief = (environment(brief=brief).prompt(history(3))[0]["content"] for brief in (False, True))
    assert 2 * len(brief.split()) < len(full.split())


def test_a_followup_shows_the_observation_and_the_commands() -> None:
    observation = Observation("You arrive at desk 1.", ("look", "open desk 1"))
    for brief in (False, True):
        text = environment(brief=brief).followup(observation)
        assert "You arrive at desk 1." in text
        assert all(command in text for command in observation.admissible)


def test_the_goal_is_read_from_the_opening() -> None:
    assert environment().goal(TASK, Observation(OPENING)) == "put some pen on shelf"
    assert environment().goal(Task("a", "b", "known already"), Observation(OPENING)) == "known already"
    assert environment().goal(TASK, Observation("no task here")) == ""


# --- responses ---


def test_format_response_is_what_parse_reads() -> None:
    alfworld = environment()
    assert alfworld.parse(alfworld.format_response("go to desk 1")) == Action("go to desk 1")
    assert alfworld.parse("<think>so</think>\n<action> Go  TO desk 1 </action>") == Action("go to desk 1")


@pytest.mark.parametrize(
    ("response", "reason", "fallback"),
    [
        ("<action>Look</action>", "no think tag", "look"),
        ("<think>x<action>look</action>", "unclosed think tag", "look"),
        (
            "I would now like to GO TO the desk 1",
            "no action tag",
            "uld now like to go to the desk 1"[-30:].strip(),
        ),
        ("<think>x</think><action></action>", "empty action", ""),
        ("", "no action tag", ""),
    ],
)
def test_an_invalid_response_says_why_and_sends_what_upstream_sends(response: str, reason: str, fallback: str) -> None:
    assert environment().parse(response) == Invalid(reason, fallback)


@settings(max_examples=200, deadline=None)
@given(st.text() | st.lists(st.sampled_from(["<think>", "</think>", "<action>", "</action>", "a", " "])).map("".join))
def test_parse_is_total(response: str) -> None:
    parsed = environment().parse(response)
    if isinstance(parsed, Action):
        assert parsed.text and parsed.text == " ".join(parsed.text.lower().split())
    else:
        assert parsed.reason


# --- skills ---


def brief_bank() -> SkillBank:
    texts = environment(brief=True).describe_skills()
    assert texts is not None
    return SkillBank.from_texts(texts)


@pytest.mark.parametrize("brief", [False, True])
def test_a_bank_has_a_general_skill_and_one_for_each_type(brief: bool) -> None:
    assert Alfworld.skills is not None
    bank = brief_bank() if brief else SkillBank.load(Alfworld.skills)
    assert sum(skill.general for skill in bank.skills) == 1
    assert sorted(kind for skill in bank.skills for kind in skill.task_types) == sorted(TASK_TYPES)
    least, most = (6, 25) if brief else (40, 120)
    for skill in bank.skills:
        assert least <= len(skill.body.split()) <= most, skill.name
        assert skill.description and skill.keywords


def test_full_prompts_take_the_bank_of_the_folder() -> None:
    assert environment().describe_skills() is None


def test_a_folder_of_official_games_is_never_ignored() -> None:
    with pytest.raises(ValueError, match="set games=official"):
        AlfworldOptions(games="generated", data="somewhere")
