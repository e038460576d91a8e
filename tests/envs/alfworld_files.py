"""A small official game, to be read whole or damaged; the rules are those of the installed package."""

from __future__ import annotations

import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sdar_envs.alfworld.vetting import GAME_FILE, GOAL_PLACEHOLDER

PROBLEM = """
(define (problem plan_trial_T20190911_101248_326533)
(:domain alfred)
(:objects
agent1 - agent
        MugType - otype
        KnifeType - otype
        ButterKnifeType - otype
        SinkBasinType - rtype
        MicrowaveType - rtype
        FridgeType - rtype
        DeskType - rtype
        ShelfType - rtype
        loc_bar_0 - location
        loc_bar_1 - location
        loc_bar__minus_2 - location
        Desk_bar_1 - receptacle
        Shelf_bar_1 - receptacle
        Mug_bar_1 - object
        )
(:init
        (atLocation agent1 loc_bar_0)
        (receptacleType Desk_bar_1 DeskType)
        (receptacleType Shelf_bar_1 ShelfType)
        (receptacleAtLocation Desk_bar_1 loc_bar_1)
        (receptacleAtLocation Shelf_bar_1 loc_bar__minus_2)
        (canContain DeskType MugType)
        (canContain ShelfType MugType)
        (objectType Mug_bar_1 MugType)
        (objectAtLocation Mug_bar_1 loc_bar__minus_2)
        (inReceptacle Mug_bar_1 Shelf_bar_1)
        (pickupable Mug_bar_1)
        )
(:goal
    (and
        (exists (?r - receptacle)
            (exists (?o - object)
                (and
                    (inReceptacle ?o ?r)
                    (objectType ?o MugType)
                    (receptacleType ?r DeskType)
                )
            )
        )
    )
)
)
"""
COMMANDS = ["go to shelf 1", "take mug 1 from shelf 1", "go to desk 1", "move mug 1 to desk 1"]


def installed() -> bool:
    return find_spec("alfworld") is not None


@cache
def _rules() -> tuple[str, str]:
    spec = find_spec("alfworld")
    assert spec is not None and spec.submodule_search_locations is not None
    folder = Path(spec.submodule_search_locations[0]) / "data"
    return (folder / "alfred.pddl").read_text(), (folder / "alfred.twl2").read_text()


def content(**changes: Any) -> dict[str, Any]:
    """What a game file holds; a change to ``...`` drops the key."""
    domain, grammar = _rules()
    whole = {
        "pddl_domain": domain,
        "grammar": grammar.replace(GOAL_PLACEHOLDER, "put a mug in desk"),
        "pddl_problem": PROBLEM,
        "solvable": True,
        "walkthrough": COMMANDS,
    }
    return {key: value for key, value in (whole | changes).items() if value is not ...}


def game_folder(data: Path, number: int = 0, kind: str = "pick_and_place_simple", split: str = "train") -> Path:
    return data / "json_2.1.1" / split / f"{kind}-Mug-None-Desk-{300 + number}" / f"trial_T2019{number:04d}"


def write(folder: Path, game: Any = None, trial: Any = None) -> Path:
    """The two files of a game in its folder, whole where nothing else is said; bytes are written as they are."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        GAME_FILE: content() if game is None else game,
        "traj_data.json": {"task_type": "pick_and_place_simple"} if trial is None else trial,
    }
    for name, value in files.items():
        (folder / name).write_bytes(value if isinstance(value, bytes) else json.dumps(value).encode())
    return folder / GAME_FILE
