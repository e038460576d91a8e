"""Questions about a generated world, of one to three hops or comparing two things.

A hop is a page that must be read. The words of a question, names and kinds apart, stand on no page, so searching for
the question itself finds only what its names name: the first page of a chain, never its last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from random import Random
from typing import Any

from sdar_cli.errors import EnvironmentSetupError
from sdar_envs.base import Task
from sdar_envs.search_qa.world import City, Island, Person, islands_of

TYPES = ("one_hop", "two_hop", "three_hop", "comparison")
PARTNERS = 2
"""Times that a thing is the first of a comparison."""


@dataclass(frozen=True, slots=True)
class Question:
    text: str
    answer: str
    searches: tuple[str, ...]
    """Names to look up, in order; each but the first stands on the page of the one before, or in the question."""


Template = Callable[[Island], Iterator[Question]]


def author(island: Island) -> Iterator[Question]:
    for work in island.works:
        yield Question(f"Who is the author of the {work.kind} {work.name}?", work.author.name, (work.name,))


def birthplace(island: Island) -> Iterator[Question]:
    for person in island.people:
        yield Question(f"What is the birthplace of {person.name}?", person.birthplace.name, (person.name,))


def birth_year(island: Island) -> Iterator[Question]:
    for person in island.people:
        yield Question(f"What is the birth year of {person.name}?", person.year, (person.name,))


def nation(island: Island) -> Iterator[Question]:
    for city in island.cities:
        yield Question(f"Which nation does {city.name} belong to?", island.country, (city.name,))


def capital(island: Island) -> Iterator[Question]:
    yield Question(f"What is the capital of {island.country}?", island.capital.name, (island.country,))


def author_birthplace(island: Island) -> Iterator[Question]:
    for work in island.works:
        yield Question(
            f"What is the birthplace of the author of the {work.kind} {work.name}?",
            work.author.birthplace.name,
            (work.name, work.author.name),
        )


def author_birth_year(island: Island) -> Iterator[Question]:
    for work in island.works:
        yield Question(
            f"What is the birth year of the author of the {work.kind} {work.name}?",
            work.author.year,
            (work.name, work.author.name),
        )


def birthplace_nation(island: Island) -> Iterator[Question]:
    for person in island.people:
        yield Question(
            f"Which nation does the birthplace of {person.name} belong to?",
            island.country,
            (person.name, person.birthplace.name),
        )


def birthplace_year(island: Island) -> Iterator[Question]:
    for person in island.people:
        yield Question(
            f"What is the founding year of the birthplace of {person.name}?",
            person.birthplace.year,
            (person.name, person.birthplace.name),
        )


def author_nation(island: Island) -> Iterator[Question]:
    for work in island.works:
        yield Question(
            f"Which nation does the birthplace of the author of the {work.kind} {work.name} belong to?",
            island.country,
            (work.name, work.author.name, work.author.birthplace.name),
        )


def birthplace_capital(island: Island) -> Iterator[Question]:
    """Not of people who were born in the capital: their own page would hold the answer."""
    for person in island.people:
        if person.birthplace != island.capital:
            yield Question(
                f"What is the capital of the nation that the birthplace of {person.name} belongs to?",
                island.capital.name,
                (person.name, person.birthplace.name, island.country),
            )


TEMPLATES: dict[str, tuple[Template, ...]] = {
    "one_hop": (author, birthplace, birth_year, nation, capital),
    "two_hop": (author_birthplace, author_birth_year, birthplace_nation, birthplace_year),
    "three_hop": (author_nation, birthplace_capital),
}
COMPARISONS = {"older_person": "Who has the earlier birth year, {} or {}?", "older_city": "Which is older, {} or {}?"}


def wordings(island: Island) -> Iterator[str]:
    """Questions about an island in every wording that there is."""
    for templates in TEMPLATES.values():
        yield from (question.text for template in templates for question in template(island))
    yield from COMPARISONS.values()


def make_tasks(split: str, count: int, entities: int, seed: int) -> list[Task]:
    """``count`` tasks of a split; types take turns, and so do the templates of a type.

    Raises EnvironmentSetupError when the world has fewer.
    """
    islands = islands_of(split, entities, seed)
    queues = {kind: _questions(kind, islands, Random(f"search-qa {kind} {split} {seed}")) for kind in TYPES}
    most = len(TYPES) * min(map(len, queues.values()))
    if count > most:
        raise EnvironmentSetupError(
            f"a generated world of {entities} countries has {most} {split} questions, not {count}: raise "
            f"environment.options.entities or lower {split}"
        )
    turns = chain.from_iterable(zip(*(queues[kind] for kind in TYPES), strict=False))
    return [task for task, _ in zip(turns, range(count), strict=False)]


def _questions(kind: str, islands: Sequence[Island], rng: Random) -> list[Task]:
    if kind == "comparison":
        people = [person for island in islands for person in island.people]
        cities = [city for island in islands for city in island.cities]
        drawn = {"older_person": list(_pairs(people, rng)), "older_city": list(_pairs(cities, rng))}
        found = {name: [_compare(COMPARISONS[name], *pair) for pair in pairs] for name, pairs in drawn.items()}
    else:
        found = {
            template.__name__: [question for island in islands for question in template(island)]
            for template in TEMPLATES[kind]
        }
        for questions in found.values():
            rng.shuffle(questions)
    tasks = [[_task(kind, name, question) for question in questions] for name, questions in found.items()]
    return [task for row in zip_longest(*tasks) for task in row if task is not None]


def _pairs(things: Sequence[Any], rng: Random) -> Iterator[tuple[Any, Any]]:
    """Two things of different years, no two pairs alike, each thing first about as often."""
    seen: set[frozenset[str]] = set()
    for _ in range(PARTNERS):
        for one in rng.sample(things, len(things)):
            other = rng.choice([thing for thing in things if thing.year != one.year])
            names = frozenset((one.name, other.name))
            if names not in seen:
                seen.add(names)
                yield one, other


def _compare(text: str, one: Person | City, other: Person | City) -> Question:
    first = min(one, other, key=lambda thing: int(thing.year))
    return Question(text.format(one.name, other.name), first.name, (one.name, other.name))


def _task(kind: str, template: str, question: Question) -> Task:
    subjects = question.searches if kind == "comparison" else question.searches[:1]
    name = " or ".join(subjects).lower().replace(" ", "-")
    return Task(
        id=f"{kind}/{template.replace('_', '-')}/{name}",
        task_type=kind,
        goal=question.text,
        data={"targets": (question.answer,), "searches": question.searches},
    )
