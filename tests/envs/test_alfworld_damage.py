"""Games and lists of games that nobody should have written: one sentence each, and nothing waits or is run."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import alfworld_files as files

from sdar_cli.errors import EnvironmentSetupError
from sdar_envs.alfworld import generated, official
from sdar_envs.alfworld.inspection import check
from sdar_envs.alfworld.pddl import DEEPEST, LONGEST, PREDICATES, Unsound, check_problem
from sdar_envs.alfworld.vetting import read_game

pytestmark = pytest.mark.skipif(not files.installed(), reason="the alfworld extra is not installed")


def refused(call: Callable[[], Any], *words: str) -> None:
    with pytest.raises(EnvironmentSetupError) as caught:
        call()
    sentence = str(caught.value)
    assert sentence.isprintable() and ": " in sentence and len(sentence) < 900
    for word in words:
        assert word in sentence


def changed(old: str, new: str) -> str:
    assert old in files.PROBLEM
    return files.PROBLEM.replace(old, new)


PROBLEMS: dict[str, tuple[str, str]] = {
    "nothing": ("", "is no list of objects"),
    "a stub": ("(define (problem p))", "is no list of objects"),
    "another domain": (changed("(:domain alfred)", "(:domain other)"), "is no list of objects"),
    "a comment": (changed("(:goal", "; (:goal"), "holds ';'"),
    "a brace": (changed("Mug_bar_1", "Mug{exit()}"), "holds '{'"),
    "a letter that is none of ASCII": (changed("Mug_bar_1", "Müg"), "holds '\\xfc'"),
    "half a surrogate pair": (changed("Mug_bar_1", "M\ud800"), "holds '\\ud800'"),
    "a name that begins with a digit": (changed("Mug_bar_1", "1_Mug"), "'name - type'"),
    "a name of operators": (changed("Mug_bar_1 -", "-- -"), "'name - type'"),
    "a long name": (changed("Mug_bar_1", "M" * 200), "'name - type'"),
    "an unknown type": (changed("Mug_bar_1 - object", "Mug_bar_1 - thing"), "unknown type 'thing'"),
    "an object twice": (changed("loc_bar_1 - location", "loc_bar_0 - location"), "declares an object twice"),
    "objects that differ in case": (changed("loc_bar_1", "LOC_bar_0"), "declares an object twice"),
    "two agents": (changed("loc_bar_1 - location", "agent2 - agent"), "does not have one agent"),
    "no knife": (changed("KnifeType", "SpoonType"), "lacks the object"),
    "nobody anywhere": (changed("(atLocation agent1 loc_bar_0)", ""), "at which one place the agent is"),
    "everywhere at once": (
        changed("(atLocation agent1 loc_bar_0)", "(atLocation agent1 loc_bar_0)" * 2),
        "at which one place the agent is",
    ),
    "a predicate unknown": (changed("(pickupable", "(edible"), "the unknown fact 'edible Mug_bar_1'"),
    "a fact of nothing": (changed("(pickupable Mug_bar_1)", "()"), "the unknown fact ''"),
    "an argument too many": (changed("(pickupable Mug", "(pickupable Mug_bar_1 Mug"), "not of the types"),
    "an argument of another type": (changed("(pickupable Mug_bar_1)", "(pickupable Desk_bar_1)"), "not of the types"),
    "an object that is not declared": (changed("(pickupable Mug_bar_1)", "(pickupable Cup_bar_1)"), "not of the types"),
    "a fact within a fact": (changed("(pickupable Mug_bar_1)", "(pickupable (Mug_bar_1))"), "is no list of objects"),
    "a number": (changed("(pickupable Mug_bar_1)", "(= 3 4)"), "the unknown fact"),
    "a metric": (changed("(:goal", "(:metric minimize x) (:goal"), "is no list of objects"),
    "cut": (files.PROBLEM[:-40], "goal"),
    "one parenthesis too many": (files.PROBLEM + ")", "does not end after its goal"),
    "more behind": (files.PROBLEM + "(:goal (and))", "does not end after its goal"),
    "an empty goal": (changed("(and\n        (exists", "(and) (exists"), "'and' with 0 conditions"),
    "an operator unknown": (changed("(exists (?o - object)", "(forall (?o - object)"), "goal"),
    "a variable unbound": (changed("(inReceptacle ?o ?r)", "(inReceptacle ?q ?r)"), "not of the types"),
    "a variable of another type": (changed("(?o - object)", "(?o - receptacle)"), "not of the types"),
    "a variable of no type": (changed("(?o - object)", "(?o)"), "without a '-'"),
    "an equality of strangers": (changed("(inReceptacle ?o ?r)", "(not (= ?o ?q))"), "compares what is not there"),
    "many variables": (
        changed("(?o - object)", "(" + " ".join(f"?o{number} - object" for number in range(9)) + " ?o - object)"),
        "variables in its goal",
    ),
    "deep": (
        changed("(inReceptacle ?o ?r)", "(and " * 50_000 + "(inReceptacle ?o ?r)" + ")" * 50_000),
        f"more than {DEEPEST} levels",
    ),
    "deep without an end": (changed("(inReceptacle ?o ?r)", "(" * 100_000), "goal"),
    "long": (files.PROBLEM + " " * LONGEST, "is longer than 1 MiB"),
    "many objects": (
        changed("Mug_bar_1 - object", "Mug_bar_1 - object " + " ".join(f"m{n} - object" for n in range(2000))),
        "more than 1000 objects",
    ),
    "many facts": (changed("(pickupable Mug_bar_1)", "(pickupable Mug_bar_1) " * 20_001), "more than 20000 facts"),
}


@pytest.mark.parametrize("damage", PROBLEMS)
def test_no_problem_but_one_of_the_domain_reaches_the_engine(damage: str, tmp_path: Path) -> None:
    text, complaint = PROBLEMS[damage]
    file = files.write(tmp_path, files.content(pddl_problem=text))
    if "\ud800" in text:
        refused(lambda: read_game(file), str(file), "half of a surrogate pair")
        with pytest.raises(Unsound, match="ud800"):
            check_problem(text)
        return
    refused(lambda: read_game(file), f"{file} is refused because its PDDL problem ", complaint)


def test_white_space_does_not_matter() -> None:
    check_problem(files.PROBLEM)
    check_problem(" ".join(files.PROBLEM.split()))
    check_problem(files.PROBLEM.replace("(", "\r\n\t( ").replace(")", " )"))


def test_the_domain_has_these_predicates() -> None:
    import re

    domain = files.content()["pddl_domain"]
    block = domain[domain.index("(:predicates") : domain.index("(:functions")]
    found = {
        match[1]: tuple(re.findall(r"- (\w+)", match[2]))
        for match in re.finditer(r"\((\w+)((?: \?\w+ - \w+)+)\)", block)
    }
    assert found == PREDICATES


@pytest.mark.engine
def test_a_small_problem_is_played(tmp_path: Path) -> None:
    from sdar_envs.alfworld.engine import Engine

    engine = Engine()
    try:
        screen = engine.start(read_game(files.write(tmp_path)))
        for command in files.COMMANDS:
            assert command in screen.commands and not screen.won
            screen = engine.send(command)
        assert screen.won
    finally:
        engine.close()


CONTENTS: dict[str, tuple[Any, str]] = {
    "a domain of half a character": ({"pddl_domain": "\ud800"}, "half of a surrogate pair"),
    "a walkthrough of numbers": ({"walkthrough": [3]}, "no list of commands"),
    "a walkthrough of escapes": ({"walkthrough": ["go \x1b[2J"]}, "no list of commands"),
    "a walkthrough of lines": ({"walkthrough": ["go\nto"]}, "no list of commands"),
    "a walkthrough without end": ({"walkthrough": ["look"] * 10_000}, "more than 200 commands"),
    "a walkthrough of a text": ({"walkthrough": "look"}, "no list of commands"),
    "a number": ({"seed": 10**400}, "number that is too large"),
}


@pytest.mark.parametrize("damage", CONTENTS)
def test_the_rest_of_a_game(damage: str, tmp_path: Path) -> None:
    changes, complaint = CONTENTS[damage]
    file = files.write(tmp_path, files.content(**changes))
    refused(lambda: read_game(file), str(file), complaint)


def test_what_is_no_file(tmp_path: Path) -> None:
    """A folder, a pipe, a device and a link that leaves the games, in the place of a game."""
    game = files.game_folder(tmp_path) / "game.tw-pddl"
    for make, complaint in (
        (game.mkdir, "is a folder, not a file"),
        (lambda: os.mkfifo(game), "is a pipe, not a file"),
        (lambda: game.symlink_to("/dev/zero"), "leads out of the folder"),
        (lambda: game.symlink_to(game.name), "cannot be followed"),
        (lambda: game.symlink_to("nowhere"), "does not exist"),
    ):
        game.parent.mkdir(parents=True, exist_ok=True)
        make()
        refused(lambda: check(str(tmp_path)), complaint)
        game.rmdir() if game.is_dir() else game.unlink()
    outside = files.write(tmp_path / "elsewhere")
    game.symlink_to(outside)
    refused(lambda: check(str(tmp_path)), f"{game} leads out of the folder")
    game.unlink()
    files.write(game.parent)
    (game.parent.parent / "more").symlink_to(tmp_path)
    refused(lambda: check(str(tmp_path)), "more is a link to a folder")


def test_a_split_that_is_a_link_is_read(tmp_path: Path) -> None:
    files.write(files.game_folder(tmp_path / "disk"))
    (tmp_path / "json_2.1.1").mkdir()
    (tmp_path / "json_2.1.1" / "train").symlink_to(tmp_path / "disk" / "json_2.1.1" / "train")
    assert check(str(tmp_path))[0].games == 1


def test_a_folder_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = files.write(files.game_folder(tmp_path))
    real = os.scandir

    def scandir(path: Any) -> Any:
        if Path(path) == file.parent:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr("os.scandir", scandir)
    refused(lambda: check(str(tmp_path)), f"holds {file.parent}, which cannot be listed (Permission denied)")


def test_names_that_cannot_be_printed(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(files.game_folder(tmp_path)) + b"\xff"))
    files.write(folder)
    refused(lambda: check(str(tmp_path)), "cannot be printed")


def test_users_who_are_nobody() -> None:
    refused(lambda: check("~nobody_at_all/games"), "are not at ~nobody_at_all/games/json_2.1.1/train")


TRIALS: dict[str, tuple[Any, str]] = {
    "cut": (b'{"task_type": "pick', "is not JSON"),
    "a list": ([], "does not say"),
    "no type": ({}, "does not say"),
    "a type of nowhere": ({"task_type": "\x1b[2J"}, "does not say"),
    "a list for a type": ({"task_type": ["pick_and_place_simple"]}, "does not say"),
    "deep": (b"[" * 100_000, "nested deeper"),
    "half a character": (b'{"task_type": "\\ud800"}', "half of a surrogate pair"),
}


@pytest.mark.parametrize("damage", TRIALS)
def test_trials_that_do_not_say_a_type(damage: str, tmp_path: Path) -> None:
    trial, complaint = TRIALS[damage]
    folder = tmp_path / "json_2.1.1" / "train" / "some" / "trial"
    files.write(folder, trial=trial)
    refused(lambda: official.tasks(str(tmp_path), "train"), f"{folder / 'traj_data.json'} ", complaint)
    files.write(folder)
    assert official.tasks(str(tmp_path), "train")[0].task_type == "pick_and_place_simple"


def test_a_trial_of_gigabytes(tmp_path: Path) -> None:
    folder = tmp_path / "json_2.1.1" / "train" / "some" / "trial"
    files.write(folder)
    with (folder / "traj_data.json").open("wb") as out:
        out.truncate(10 << 30)
    refused(lambda: official.tasks(str(tmp_path), "train"), "is larger than 16 MiB")


def test_a_list_of_generated_games_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDAR_CACHE", str(tmp_path))
    suite = generated.Suite(1, 1, 0, 5, 3, 12)
    entry = {"id": "train/a-b", "task_type": "pick_and_place_simple", "goal": "x", "search": ["look"]}
    whole = {"train": [entry], "test": [entry | {"id": "test/a-b"}]}
    suite.folder.mkdir(parents=True)
    file = suite.folder / "index.json"
    file.write_text(json.dumps(whole))
    assert generated.index(suite) == whole
    for text in (
        "",
        "[" * 100_000,
        "{}",
        "[]",
        json.dumps(whole | {"test": None}),
        json.dumps(whole | {"train": [3]}),
        json.dumps(whole | {"train": [entry | {"id": "train/../../x"}]}),
        json.dumps(whole | {"train": [entry | {"id": "train//etc"}]}),
        json.dumps(whole | {"train": [entry | {"id": "test/a"}]}),
        json.dumps(whole | {"train": [entry | {"search": None}]}),
        json.dumps(whole | {"train": [entry | {"task_type": "x"}]}),
    ):
        file.write_text(text)
        refused(lambda: generated.index(suite), str(file), "the games are made again")
