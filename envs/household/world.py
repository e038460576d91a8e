"""One episode's state and its laws, without any text: what an action does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sdar_envs.household.tasks import Errand
from sdar_envs.household.words import KEEPING, PLACES, STATIONS


@dataclass(slots=True)
class World:
    """Where things are, what has been done to them, and what the hand holds.

    ``walk``: places and stations must be stood at to be used. ``spoilt`` and ``won`` end the episode.
    """

    errands: Sequence[Errand]
    room: dict[str, str]
    """Thing → the place where it lies; a held or kept thing is absent."""
    stations: Mapping[str, str]
    """The rulebook: verb → station."""
    walk: bool = False
    held: str | None = None
    here: str | None = None
    treated: set[str] = field(default_factory=set)
    open_stations: list[str] = field(default_factory=list)
    spoilt: bool = False

    @property
    def won(self) -> bool:
        return not self.spoilt and all(self.finished(errand) for errand in self.errands)

    def finished(self, errand: Errand) -> bool:
        """All things treated, and put on the destination, or their station closed."""
        if not self.treated.issuperset(errand.things):
            return False
        if errand.verb in KEEPING:
            return self.stations[errand.verb] not in self.open_stations
        return all(self.room.get(thing) == errand.destination for thing in errand.things)

    def verb_for(self, thing: str) -> str | None:
        """The verb that the task still wants done to a thing."""
        if thing in self.treated:
            return None
        return next((errand.verb for errand in self.errands if thing in errand.things), None)

    @property
    def waiting(self) -> bool:
        """Whether a thing lies in the room that an errand still wants moved."""
        return any(
            thing in self.room and not self.finished(errand) for errand in self.errands for thing in errand.things
        )

    def visible(self) -> list[tuple[str, str]]:
        """(thing, place) of all that lies in the room, without the things of finished errands."""
        done = {thing for errand in self.errands if self.finished(errand) for thing in errand.things}
        return [(thing, place) for thing, place in self.room.items() if thing not in done]

    def reachable(self, spots: Sequence[str]) -> Sequence[str]:
        return [spot for spot in spots if spot == self.here] if self.walk else spots

    def admissible(self, places: int) -> list[tuple[str, ...]]:
        """Every action that would change or show something, as (verb, noun, ...)."""
        actions: list[tuple[str, ...]] = [("look",)]
        if self.walk:
            actions += [("go", spot) for spot in (*PLACES[:places], *STATIONS) if spot != self.here]
        actions += [("close", station) for station in self.reachable(self.open_stations)]
        if self.held is None:
            actions += [("take", t, p) for t, p in self.room.items() if not self.walk or p == self.here]
            return actions
        if verb := self.verb_for(self.held):
            actions += [(verb, self.held, station) for station in self.reachable(STATIONS)]
        actions += [("put", self.held, place) for place in self.reachable(PLACES[:places])]
        return actions

    def take(self, thing: str) -> None:
        del self.room[thing]
        self.held = thing

    def put(self, place: str) -> None:
        assert self.held is not None
        self.room[self.held] = place
        self.held = None

    def use(self, verb: str, station: str) -> None:
        """Do ``verb`` to the held thing: the right station treats it, any other spoils it."""
        assert self.held is not None
        if self.stations[verb] != station:
            self.spoilt = True
            return
        self.treated.add(self.held)
        if verb in KEEPING:
            self.held = None
            if station not in self.open_stations:
                self.open_stations.append(station)

    def close(self, station: str) -> None:
        self.open_stations.remove(station)
