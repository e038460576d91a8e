"""Generated rooms: what is drawn obeys the tables, splits never meet, and routes are what they say."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdar_envs.alfworld.world import LAMP_PLACES, ROOMS, TASK_TYPES, TOOLS, Tables, World, draw, route

KINDS = frozenset(kind for _, things in ROOMS.values() for kind in things)
PLACES = frozenset(place for supply, _ in ROOMS.values() for place in supply)
TABLES = Tables(
    can_contain={
        place: KINDS if place not in ("Microwave", "Fridge") else frozenset({"Mug", "Egg", "Apple", "Cup"})
        for place in PLACES
    },
    abilities={
        "Cleanable": frozenset({"Mug", "Fork", "Apple"}),
        "Heatable": frozenset({"Mug", "Egg", "Apple"}),
        "Coolable": frozenset({"Mug", "Egg", "Apple"}),
    },
    openable=frozenset({"Cabinet", "Drawer", "Fridge", "Microwave"}),
)


def some_world(seed: int, task_type: str, receptacles: int = 6, things: int = 5) -> World:
    for attempt in range(100):
        world = draw(Random(f"{seed}/{attempt}"), task_type, receptacles, things, TABLES)
        if world is not None:
            return world
    raise AssertionError("no world in a hundred draws")


@settings(max_examples=150, deadline=None)
@given(st.integers(), st.sampled_from(TASK_TYPES), st.integers(3, 12), st.integers(1, 12))
def test_a_world_obeys_the_tables(seed: int, task_type: str, receptacles: int, things: int) -> None:
    world = some_world(seed, task_type, receptacles, things)
    supply, _ = ROOMS[world.room]
    assert len(world.receptacles) == min(receptacles, sum(supply.values()))
    assert len(set(world.receptacles)) == len(world.receptacles)
    placed = [thing for thing in world.things if thing[0] != "DeskLamp"]
    assert len(placed) <= max(things, 2)
    for kind, _, at in placed:
        place = world.receptacles[at][0]
        assert kind in TABLES.can_contain[place]
        assert not (kind == world.target and place == world.destination), "the task is partly solved"
    assert sum(kind == world.target for kind, _, _ in world.things) == (
        2 if task_type == "pick_two_obj_and_place" else 1
    )
    if task_type in TOOLS:
        tool, _ = TOOLS[task_type]
        assert tool in [place for place, _ in world.receptacles]
        assert tool != world.destination
    lamps = [world.receptacles[at][0] for kind, _, at in world.things if kind == "DeskLamp"]
    assert len(lamps) == (world.destination == "DeskLamp")
    assert set(lamps) <= set(LAMP_PLACES)


def test_a_draw_is_deterministic_and_leaves_the_global_generator_alone() -> None:
    import random

    before = random.getstate()
    assert some_world(3, TASK_TYPES[0]) == some_world(3, TASK_TYPES[0])
    assert some_world(3, TASK_TYPES[0]) != some_world(4, TASK_TYPES[0])
    assert random.getstate() == before


def test_the_wording_does_not_move_a_world_to_the_other_split() -> None:
    world = some_world(0, TASK_TYPES[0])
    fields = {name: getattr(world, name) for name in World.__dataclass_fields__}
    reworded = World(**(fields | {"template": 1 - world.template}))
    assert reworded != world
    assert (reworded.digest, reworded.split) == (world.digest, world.split)


def test_about_a_quarter_of_all_worlds_is_held_out() -> None:
    splits = [some_world(seed, TASK_TYPES[seed % 6]).split for seed in range(400)]
    assert 70 <= splits.count("test") <= 130


KITCHEN = (("Cabinet", 1), ("CounterTop", 1), ("Fridge", 1), ("Microwave", 1), ("Shelf", 1))


def test_routes_are_the_informed_and_the_searching_one() -> None:
    things = (("Egg", 1, 2), ("Fork", 1, 1))
    world = World("pick_heat_then_place_in_recep", "kitchen", "Egg", "Cabinet", KITCHEN, things, 0)
    assert route(world, TABLES, informed=True) == (
        "go to fridge 1",
        "open fridge 1",
        "take egg 1 from fridge 1",
        "go to microwave 1",
        "heat egg 1 with microwave 1",
        "go to cabinet 1",
        "open cabinet 1",
        "move egg 1 to cabinet 1",
    )
    searching = route(world, TABLES, informed=False)
    assert searching[:3] == ("go to countertop 1", "go to fridge 1", "open fridge 1"), "never the destination"
    assert searching[1:] == route(world, TABLES, informed=True)


def test_the_second_of_two_is_searched_from_the_first_place_again() -> None:
    things = (("Mug", 1, 1), ("Mug", 2, 3))
    world = World("pick_two_obj_and_place", "kitchen", "Mug", "Shelf", KITCHEN, things, 0)
    moved = ("go to shelf 1", "move mug 1 to shelf 1")
    opened = (
        "go to cabinet 1",
        "open cabinet 1",
        "go to countertop 1",
        "take mug 1 from countertop 1",
        *moved,
    )
    again = ("go to cabinet 1", "go to countertop 1", "go to fridge 1", "open fridge 1", "go to microwave 1")
    found = ("open microwave 1", "take mug 2 from microwave 1", "go to shelf 1", "move mug 2 to shelf 1")
    assert route(world, TABLES, informed=False) == opened + again + found


@pytest.mark.parametrize(("lamp", "expected"), [(0, "use"), (2, "go to dresser 1")])
def test_the_lamp_is_used_where_it_stands(lamp: int, expected: str) -> None:
    room = (("Desk", 1), ("Drawer", 1), ("Dresser", 1))
    things = (("DeskLamp", 1, lamp), ("Pen", 1, 0))
    world = World("look_at_obj_in_light", "bedroom", "Pen", "DeskLamp", room, things, 0)
    for informed in (True, False):
        commands = route(world, TABLES, informed=informed)
        assert commands[:2] == ("go to desk 1", "take pen 1 from desk 1")
        assert commands[2].startswith(expected)
        assert commands[-1] == "use desklamp 1"
