"""The tasks of the household world: which exist, in which split, in which order.

A *combination* is (verb, thing, source, destination); a stable hash puts each into ``train`` or ``test``,
and a task is made of combinations of its own split only, so no test combination is ever trained on.
Neither the hash nor the order knows the rulebook: another rulebook has the same tasks.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass

from sdar_envs.base import Task
from sdar_envs.household.words import KEEPING, PLACES, TASK_TYPES, THINGS, TYPE_OF, VERBS

TEST_SHARE = 4
"""One combination in four is a test combination."""

MOST_TASKS = {"train": 6000, "test": 1200}


@dataclass(frozen=True, slots=True)
class Errand:
    """Things to be handled by one verb; ``destination`` is empty where the verb's station keeps them."""

    verb: str
    things: tuple[str, ...]
    sources: tuple[str, ...]
    destination: str = ""

    @property
    def id(self) -> str:
        moves = "+".join(f"{t}-from-{s}" for t, s in zip(self.things, self.sources, strict=True))
        return f"{self.verb}-{moves}" + (f"-to-{self.destination}" if self.destination else "")

    @property
    def sentence(self) -> str:
        what = " and ".join(f"the {thing}" for thing in self.things)
        end = f" and put it on the {self.destination}" if self.destination else ""
        return f"{self.verb} {what}{end}"


def split_of(verb: str, thing: str, source: str, destination: str) -> str:
    """``train`` or ``test``: a hash of the combination's words."""
    digest = hashlib.sha256(f"{verb} {thing} {source} {destination}".encode()).digest()
    return "test" if digest[0] % TEST_SHARE == 0 else "train"


def combinations(verb: str, split: str, things: int, places: int) -> list[Errand]:
    """Every one-thing errand of a verb in a split, in the order of the word lists."""
    ends = ("",) if verb in KEEPING else PLACES[:places]
    return [
        Errand(verb, (thing,), (source,), end)
        for thing in THINGS[:things]
        for source in PLACES[:places]
        for end in ends
        if end != source and split_of(verb, thing, source, end) == split
    ]


def make_tasks(split: str, *, errands: int, things: int, places: int, clutter: int, verbs: int = 2) -> list[Task]:
    """All tasks of a split: types take turns, and so do the verbs of a type, so any prefix is balanced."""
    queues = {
        verb: _errands_of(verb, split, things, places) for task_type in TASK_TYPES for verb in VERBS[task_type][:verbs]
    }
    rounds = min(min(map(len, queues.values())), MOST_TASKS[split] // len(queues))
    tasks = []
    for index in range(rounds):
        for half in range(verbs):
            for task_type in TASK_TYPES:
                verb = VERBS[task_type][half]
                firsts = [queues[verb][index]]
                rng = random.Random(f"household task {split} {firsts[0].id} {errands} {things} {places} {clutter}")
                tasks.append(_task(task_type, _more(firsts, errands, queues, verbs, rng), things, places, clutter, rng))
    return tasks


def _errands_of(verb: str, split: str, things: int, places: int) -> list[Errand]:
    """First errands of a verb's tasks, shuffled; pairs of combinations for the pick-two type."""
    rng = random.Random(f"household order {verb} {split}")
    singles = combinations(verb, split, things, places)
    rng.shuffle(singles)
    if TYPE_OF[verb] != "pick_two_obj_and_place":
        return singles
    pairs: dict[tuple[str, ...], Errand] = {}
    for one in singles:
        other = rng.choice([e for e in singles if e.things != one.things] or singles)
        if other.things != one.things:
            pair = Errand(verb, one.things + other.things, one.sources + other.sources)
            pairs.setdefault(tuple(sorted(zip(pair.things, pair.sources, strict=True))), pair)
    return list(pairs.values())


def _more(
    firsts: list[Errand], errands: int, queues: dict[str, list[Errand]], verbs: int, rng: random.Random
) -> tuple[Errand, ...]:
    """Add errands of the same task type on other things until there are ``errands``."""
    chosen = list(firsts)
    own = VERBS[TYPE_OF[chosen[0].verb]][:verbs]
    while len(chosen) < errands:
        used = {thing for errand in chosen for thing in errand.things}
        pool = queues[rng.choice(own)]
        drawn = rng.choice(pool)
        if not used.isdisjoint(drawn.things):
            drawn = rng.choice([errand for errand in pool if used.isdisjoint(errand.things)])
        chosen.append(drawn)
    return tuple(chosen)


def _task(
    task_type: str, errands: tuple[Errand, ...], things: int, places: int, clutter: int, rng: random.Random
) -> Task:
    room = {t: s for errand in errands for t, s in zip(errand.things, errand.sources, strict=True)}
    spare = [thing for thing in THINGS[:things] if thing not in room]
    room |= {thing: rng.choice(PLACES[:places]) for thing in rng.sample(spare, min(clutter, len(spare)))}
    shown = list(room)
    rng.shuffle(shown)
    return Task(
        id=f"{task_type}/" + ",".join(errand.id for errand in errands),
        task_type=task_type,
        goal=", then ".join(errand.sentence for errand in errands) + ".",
        data={
            "errands": [[e.verb, list(e.things), list(e.sources), e.destination] for e in errands],
            "room": {thing: room[thing] for thing in shown},
        },
    )


def errands_of(task: Task) -> Sequence[Errand]:
    """The errands that ``make_tasks`` wrote into ``task.data``."""
    return [Errand(verb, tuple(ts), tuple(ss), end) for verb, ts, ss, end in task.data["errands"]]
