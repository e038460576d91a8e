"""Small rooms to generate games from: what stands where, what is asked, and the way there.

A world is plain data. Which thing may stand where, and what can be heated, cooled or cleaned, is the
package's own table; which rooms there are and what they hold is ours, kept small for tiny models to read.
Placements follow the table, not taste: these games are for tests and small models, not for claims.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from random import Random

TASK_TYPES = (
    "pick_and_place_simple",
    "look_at_obj_in_light",
    "pick_clean_then_place_in_recep",
    "pick_heat_then_place_in_recep",
    "pick_cool_then_place_in_recep",
    "pick_two_obj_and_place",
)
TOOLS = {
    "pick_clean_then_place_in_recep": ("SinkBasin", "clean"),
    "pick_heat_then_place_in_recep": ("Microwave", "heat"),
    "pick_cool_then_place_in_recep": ("Fridge", "cool"),
}
"""Task type → the appliance it needs and the verb of the command."""
LAMP_PLACES = ("Desk", "Dresser", "SideTable")

_KITCHEN = {"Cabinet": 3, "CounterTop": 2, "DiningTable": 1, "Drawer": 2, "Fridge": 1, "GarbageCan": 1}
_KITCHEN |= {"Microwave": 1, "Shelf": 2, "SinkBasin": 1}
_BEDROOM = {"Bed": 1, "Cabinet": 2, "Desk": 1, "Drawer": 3, "Dresser": 1, "GarbageCan": 1, "Shelf": 2}
_BEDROOM |= {"SideTable": 2}
_FOOD_AND_DISHES = "Apple Bowl Bread Cup Egg Fork Lettuce Mug Pan Plate Pot Potato SaltShaker Spatula Spoon Tomato"
_BELONGINGS = "AlarmClock Book Bowl CD CellPhone CreditCard KeyChain Mug Pen Pencil Pillow Vase Watch"
ROOMS: dict[str, tuple[dict[str, int], tuple[str, ...]]] = {
    "kitchen": (_KITCHEN, tuple(_FOOD_AND_DISHES.split())),
    "bedroom": (_BEDROOM, tuple(_BELONGINGS.split())),
}
"""Room → how many of each receptacle it can have, and the things in it."""


@dataclass(frozen=True, slots=True)
class Tables:
    """The package's constants that a world must obey, by CamelCase name."""

    can_contain: dict[str, frozenset[str]]
    """Receptacle → things."""
    abilities: dict[str, frozenset[str]]
    """``Cleanable``, ``Heatable``, ``Coolable``, ``Sliceable`` → things."""
    openable: frozenset[str]


@dataclass(frozen=True, slots=True)
class World:
    """A room and a task. Names are the game's (``cabinet 2``) in CamelCase: ``("Cabinet", 2)``."""

    task_type: str
    room: str
    target: str
    """What is asked for."""
    destination: str
    """The kind of receptacle it must go to; ``DeskLamp`` for the lamp's task."""
    receptacles: tuple[tuple[str, int], ...]
    things: tuple[tuple[str, int, int], ...]
    """Kind, number, and the index of its receptacle."""
    template: int
    """Which of the package's task sentences is used."""

    @property
    def digest(self) -> str:
        """Hash of everything but the wording: two worlds are the same game when it is equal."""
        content = {key: value for key, value in asdict(self).items() if key != "template"}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @property
    def split(self) -> str:
        """``test`` for a quarter of all worlds, by their hash; so splits are disjoint whatever the seed."""
        return "test" if int(self.digest[:8], 16) % 4 == 0 else "train"


def draw(rng: Random, task_type: str, receptacles: int, things: int, tables: Tables) -> World | None:
    """One random world of this type, or None when the draw contradicts itself (draw again)."""
    room = "bedroom" if task_type == "look_at_obj_in_light" else "kitchen"
    if task_type not in TOOLS and task_type != "look_at_obj_in_light":
        room = rng.choice(sorted(ROOMS))
    supply, kinds = ROOMS[room]
    tool = TOOLS[task_type][0] if task_type in TOOLS else None
    able = {"clean": "Cleanable", "heat": "Heatable", "cool": "Coolable"}
    wanted = [kind for kind in kinds if tool is None or kind in tables.abilities[able[TOOLS[task_type][1]]]]
    target = rng.choice(wanted)
    if task_type == "look_at_obj_in_light":
        destination, needed = "DeskLamp", [rng.choice(LAMP_PLACES)]
    else:
        fits = [kind for kind in sorted(supply) if target in tables.can_contain[kind] and kind != tool]
        if not fits:
            return None
        destination = rng.choice(fits)
        needed = [destination] + ([tool] if tool is not None else [])
    places = _furnish(rng, supply, needed, receptacles)
    located = [(target, 1), (target, 2)] if task_type == "pick_two_obj_and_place" else [(target, 1)]
    others = [kind for kind in kinds if kind != target]
    located += [(kind, 1) for kind in rng.sample(others, min(len(others), max(0, things - len(located))))]
    placed = []
    for kind, number in located:
        holders = [
            index
            for index, (place, _) in enumerate(places)
            if kind in tables.can_contain[place] and not (kind == target and place == destination)
        ]
        if not holders and kind == target:
            return None
        if holders:
            placed.append((kind, number, rng.choice(holders)))
    if destination == "DeskLamp":
        lamps = [index for index, (place, _) in enumerate(places) if place in LAMP_PLACES]
        placed.append(("DeskLamp", 1, rng.choice(lamps)))
    return World(task_type, room, target, destination, places, tuple(sorted(placed)), rng.randrange(2))


def _furnish(rng: Random, supply: dict[str, int], needed: list[str], size: int) -> tuple[tuple[str, int], ...]:
    spare = sorted(kind for kind, count in supply.items() for _ in range(count))
    for kind in needed:
        spare.remove(kind)
    chosen = sorted(needed + rng.sample(spare, min(len(spare), max(0, size - len(needed)))))
    return tuple((kind, chosen[:index].count(kind) + 1) for index, kind in enumerate(chosen))


def route(world: World, tables: Tables, *, informed: bool) -> tuple[str, ...]:
    """Commands that solve the world: knowing where things are, or searching for them.

    The search is one that can be read off the screen: places in the order in which ``go to`` lists them,
    never one of the destination's kind, each opened when it is closed, from the first place again for a
    second thing.
    """
    return tuple(_Walk(world, tables, informed).commands())


class _Walk:
    def __init__(self, world: World, tables: Tables, informed: bool) -> None:
        self.world, self.tables, self.informed = world, tables, informed
        self.where = {(kind, number): index for kind, number, index in world.things}
        self.here: int | None = None
        self.opened: set[int] = set()
        self.listed = sorted(range(len(world.receptacles)), key=self.name)

    def name(self, index: int) -> str:
        kind, number = self.world.receptacles[index]
        return f"{kind.lower()} {number}"

    def commands(self) -> Iterator[str]:
        world = self.world
        for _ in range(2 if world.task_type == "pick_two_obj_and_place" else 1):
            thing = yield from self._fetch()
            if world.destination == "DeskLamp":
                yield from self._use_lamp()
                return
            if world.task_type in TOOLS:
                tool, verb = TOOLS[world.task_type]
                yield from self._visit(self._first(tool))
                yield f"{verb} {thing} with {self.name(self._first(tool))}"
            goal = self._first(world.destination)
            yield from self._visit(goal, open_it=True)
            yield f"move {thing} to {self.name(goal)}"
            self.where[(world.target, int(thing.rsplit(" ", 1)[1]))] = goal

    def _first(self, kind: str) -> int:
        return next(index for index in self.listed if self.world.receptacles[index][0] == kind)

    def _visit(self, index: int, open_it: bool = False) -> Iterator[str]:
        if self.here != index:
            self.here = index
            yield f"go to {self.name(index)}"
        if open_it and self.world.receptacles[index][0] in self.tables.openable and index not in self.opened:
            self.opened.add(index)
            yield f"open {self.name(index)}"

    def _fetch(self) -> Iterator[str]:
        targets = sorted(thing for thing in self.where if thing[0] == self.world.target)
        places = [i for i in self.listed if self.world.receptacles[i][0] != self.world.destination]
        for index in places:
            here = [thing for thing in targets if self.where[thing] == index]
            if self.informed and not here:
                continue
            yield from self._visit(index, open_it=True)
            if here:
                thing = f"{here[0][0].lower()} {here[0][1]}"
                yield f"take {thing} from {self.name(index)}"
                return thing
        raise AssertionError("a world places its target outside the destination")

    def _use_lamp(self) -> Iterator[str]:
        lamp = self.where[("DeskLamp", 1)]
        if self.here != lamp:
            for index in self.listed:
                if self.world.receptacles[index][0] in LAMP_PLACES and (index == lamp or not self.informed):
                    yield from self._visit(index)
                if self.here == lamp:
                    break
        yield "use desklamp 1"
