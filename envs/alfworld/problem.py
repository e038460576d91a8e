"""A world as an official game file: the package's domain and grammar, and a PDDL problem in its manner."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from sdar_envs.alfworld.vetting import GOAL_PLACEHOLDER
from sdar_envs.alfworld.world import ROOMS, Tables, World

_DOMAIN_TYPES = ("SinkBasin", "Microwave", "Fridge", "Knife", "ButterKnife")
"""Kinds that the domain's actions name, so every problem must declare their types."""
_RECEPTACLE_TYPES = _DOMAIN_TYPES[:3]


@lru_cache(maxsize=1)
def tables() -> Tables:
    """The package's constants, for the kinds that our rooms use."""
    from sdar_envs.alfworld.engine import parts

    parts()
    import alfworld.gen.constants as constants

    contents = constants.VAL_RECEPTACLE_OBJECTS
    places = {kind for supply, _ in ROOMS.values() for kind in supply}
    kinds = {kind for _, things in ROOMS.values() for kind in things}
    able = constants.VAL_ACTION_OBJECTS
    return Tables(
        can_contain={place: frozenset(contents[place] & kinds) for place in sorted(places)},
        abilities={name: frozenset(able[name] & kinds) for name in able},
        openable=frozenset(set(constants.OPENABLE_CLASS_LIST) & places),
    )


@lru_cache(maxsize=1)
def rules() -> tuple[str, str]:
    """The package's PDDL domain and its grammar, the task line open."""
    from sdar_envs.alfworld.engine import parts

    parts()
    from alfworld.info import ALFRED_PDDL_PATH, ALFRED_TWL2_PATH

    return Path(ALFRED_PDDL_PATH).read_text(), Path(ALFRED_TWL2_PATH).read_text()


def task_sentence(world: World) -> str:
    """The package's wording of the task, without a full stop."""
    return _goal_library(world.task_type)["templates"][world.template].format(**_words(world, str.lower))


def game_file(world: World, walkthrough: tuple[str, ...], search: tuple[str, ...]) -> dict[str, Any]:
    """The JSON of a ``game.tw-pddl``; ``search`` is an extra key that the package ignores."""
    domain, grammar = rules()
    return {
        "pddl_domain": domain,
        "grammar": grammar.replace(GOAL_PLACEHOLDER, task_sentence(world)),
        "pddl_problem": problem(world),
        "solvable": True,
        "walkthrough": list(walkthrough),
        "search": list(search),
    }


def trial(world: World) -> dict[str, Any]:
    """The JSON of a ``traj_data.json``, with what the package reads of it."""
    lamp = world.destination == "DeskLamp"
    return {
        "task_type": world.task_type,
        "pddl_params": {
            "object_target": world.target,
            "parent_target": "" if lamp else world.destination,
            "mrecep_target": "",
            "toggle_target": "DeskLamp" if lamp else "",
            "object_sliced": False,
        },
        "turk_annotations": {"anns": []},
    }


def problem(world: World) -> str:
    """The PDDL problem: every receptacle at a place of its own, the agent in the middle of the room."""
    table = tables()
    places = [_place_id(world, index) for index in range(len(world.receptacles))]
    things = [(kind, f"{kind}_bar_{_reversed(world.things, kind, number)}", at) for kind, number, at in world.things]
    thing_types = sorted({kind for kind, _, _ in things} | set(_DOMAIN_TYPES[3:]))
    place_types = sorted({kind for kind, _ in world.receptacles} | set(_RECEPTACLE_TYPES))
    objects = ["agent1 - agent", "loc_bar_0 - location"]
    objects += [f"{kind}Type - otype" for kind in thing_types]
    objects += [f"{kind}Type - rtype" for kind in place_types]
    facts = ["atLocation agent1 loc_bar_0"]
    for index, place in enumerate(places):
        kind = world.receptacles[index][0]
        objects += [f"{place} - receptacle", f"loc_bar_{index + 1} - location"]
        facts += [f"receptacleType {place} {kind}Type", f"receptacleAtLocation {place} loc_bar_{index + 1}"]
        facts += [f"openable {place}"] if kind in table.openable else []
    for kind, thing, at in things:
        objects.append(f"{thing} - object")
        facts += [f"objectType {thing} {kind}Type", f"inReceptacle {thing} {places[at]}"]
        facts += [f"objectAtLocation {thing} loc_bar_{at + 1}"]
        facts += [f"toggleable {thing}" if kind == "DeskLamp" else f"pickupable {thing}"]
        facts += [f"{name.lower()} {thing}" for name, able in sorted(table.abilities.items()) if kind in able]
    for place in sorted({kind for kind, _ in world.receptacles}):
        held = [kind for kind in thing_types if kind in table.can_contain[place]]
        facts += [f"canContain {place}Type {kind}Type" for kind in held]
    goal = _goal_library(world.task_type)["pddl"].format(**_words(world, str)).replace("#", "-")
    return "\n".join(
        [
            "(define (problem generated)",
            "(:domain alfred)",
            "(:objects",
            *objects,
            ")",
            "(:init",
            *(f"({fact})" for fact in facts),
            ")",
            goal,  # its text closes the definition
        ]
    )


def _goal_library(task_type: str) -> dict[str, Any]:
    rules()
    import alfworld.gen.goal_library as library

    return library.gdict[task_type]


def _words(world: World, case: Any) -> dict[str, str]:
    lamp = world.destination == "DeskLamp"
    return {
        "obj": case(world.target),
        "recep": "" if lamp else case(world.destination),
        "toggle": case("DeskLamp") if lamp else "",
        "mrecep": "",
    }


def _place_id(world: World, index: int) -> str:
    kind, number = world.receptacles[index]
    rank = _reversed(world.receptacles, kind, number)
    return f"Sink_bar_{rank}_bar_SinkBasin" if kind == "SinkBasin" else f"{kind}_bar_{rank}"


def _reversed(named: Any, kind: str, number: int) -> int:
    """The package numbers names against the order of their ids: the last id is the first name."""
    return sum(item[0] == kind for item in named) + 1 - number
