"""A generated world: countries with their cities, people and works, and a page about each.

A country and all that belongs to it is an *island*: nothing on it refers to another island, and a whole island
is for training or for testing. Pages say things upwards only (a work its author, a person the place of birth, a
city its country), so that a page never holds the end of a chain that begins with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from sdar_envs.search_qa import names

CITIES, PEOPLE, WORKS = 4, 8, 12
"""On one island."""
MOST_ISLANDS = 80
"""More would need more names."""
TEST_SHARE = 5
"""One island in so many is for testing."""


@dataclass(frozen=True, slots=True)
class City:
    name: str
    year: str
    """When it was built."""


@dataclass(frozen=True, slots=True)
class Person:
    name: str
    birthplace: City
    year: str


@dataclass(frozen=True, slots=True)
class Work:
    name: str
    kind: str
    author: Person


@dataclass(frozen=True, slots=True)
class Island:
    country: str
    cities: tuple[City, ...]
    """The first is the capital."""
    people: tuple[Person, ...]
    works: tuple[Work, ...]

    @property
    def capital(self) -> City:
        return self.cities[0]

    @property
    def pages(self) -> Iterator[tuple[str, str]]:
        """Title and text of each page."""
        yield self.country, f"{self.country} is ruled from {self.capital.name}."
        for city in self.cities:
            yield city.name, f"{city.name} lies in {self.country} and was built in {city.year}."
        for person in self.people:
            yield person.name, f"{person.name} was born in {person.birthplace.name} in {person.year}."
        for work in self.works:
            yield work.name, f"The {work.kind} {work.name} is by {work.author.name}."


def draw_islands(count: int, seed: int) -> list[Island]:
    """``count`` islands, all names distinct, a function of the arguments alone."""
    rng = Random(f"search-qa world {seed}")
    countries, cities, people, works = (
        _names(rng, words) for words in (names.COUNTRY, names.CITY, names.PERSON, names.WORK)
    )
    islands = []
    for _ in range(count):
        places = tuple(
            City(name, year)
            for name, year in zip(_take(cities, CITIES), rng.sample(names.FOUNDING_YEARS, CITIES), strict=True)
        )
        persons = tuple(
            Person(name, rng.choice(places), year)
            for name, year in zip(_take(people, PEOPLE), rng.sample(names.BIRTH_YEARS, PEOPLE), strict=True)
        )
        written = tuple(Work(name, rng.choice(names.KINDS), rng.choice(persons)) for name in _take(works, WORKS))
        islands.append(Island(next(countries), places, persons, written))
    return islands


def islands_of(split: str, count: int, seed: int) -> list[Island]:
    """The islands of ``train`` or ``test``."""
    held_out = count // TEST_SHARE
    islands = draw_islands(count, seed)
    return islands[:held_out] if split == "test" else islands[held_out:]


def pages(count: int, seed: int) -> list[tuple[str, str]]:
    """Title and text of every page of the world, shuffled."""
    shown = [page for island in draw_islands(count, seed) for page in island.pages]
    Random(f"search-qa pages {seed}").shuffle(shown)
    return shown


def _names(rng: Random, words: tuple[names.Words, names.Words]) -> Iterator[str]:
    """All pairs of a first and a second word, in an order in which neighbours share no word.

    With n words in each list, the pairs of a round (n of them) share none; islands take whole parts of a round
    where their number divides n, as it does for cities and people.
    """
    first, second = (rng.sample(part, len(part)) for part in words)
    shifts = rng.sample(range(len(second)), len(second))
    for shift in shifts:
        for place in rng.sample(range(len(first)), len(first)):
            yield f"{first[place]} {second[(place + shift) % len(second)]}"


def _take(source: Iterator[str], count: int) -> list[str]:
    return [next(source) for _ in range(count)]
