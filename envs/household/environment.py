"""``household``: a fast world in ALFWorld's manner whose rules cannot be guessed, only read or learnt.

Twelve verbs, twelve stations; a rulebook says which station serves which verb. The right station does
what the task asks, any other spoils the thing and ends the episode, so nothing can be found out by trying
within an episode. Skills state the rules. Reward: 10 when every errand is done, else 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field, model_validator

from sdar_envs import base
from sdar_envs.base import Action, History, Invalid, Message, Observation, Step, Task
from sdar_envs.household import prompts, words
from sdar_envs.household.expert import plan
from sdar_envs.household.prompts import FORMAT, NOTHING, command
from sdar_envs.household.rulebook import Rulebook
from sdar_envs.household.skills_text import fill_skills
from sdar_envs.household.tasks import errands_of, make_tasks
from sdar_envs.household.world import World
from sdar_envs.tags import parse_tags

WIN = 10.0


class HouseholdOptions(base.Options):
    """Typed options; the defaults are the compact world, episodes of 3 to 5 turns."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    beside_tasks: ClassVar[frozenset[str]] = frozenset({"wrong_rules", "show_admissible"})

    rulebook: int = 0
    """Seed of the rulebook."""
    verbs: Annotated[int, Field(ge=1, le=2)] = 2
    """Verbs of each task type: 2 is 12 rules; 1 is 6, and each skill then states a single rule."""
    errands: Annotated[int, Field(ge=1, le=4)] = 1
    """How many errands in a row a task asks for; each takes 3 turns (two things: 5)."""
    walk: bool = False
    """Whether places and stations must be gone to first: about twice the turns."""
    wrong_rules: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """Share of the verbs for which the skills state a wrong station."""
    show_admissible: bool = True
    """Whether the prompt lists the admissible commands and states the reply format."""
    things: Annotated[int, Field(ge=8, le=len(words.THINGS))] = len(words.THINGS)
    places: Annotated[int, Field(ge=4, le=len(words.PLACES))] = len(words.PLACES)
    clutter: Annotated[int, Field(ge=0, le=8)] = 2
    """Things in the room that no errand asks for."""

    @model_validator(mode="after")
    def _enough_things(self) -> HouseholdOptions:
        if self.things < 6 * self.errands:
            raise ValueError(
                f"errands={self.errands} needs at least {6 * self.errands} things, not {self.things}: "
                "raise things or lower errands"
            )
        return self


class Household(base.Environment):
    """The household world; see the module docstring, and docs/household.md for the rules in full."""

    name: ClassVar[str] = "household"
    Options: ClassVar[type[base.Options]] = HouseholdOptions
    splits: ClassVar[tuple[str, ...]] = ("train", "test")

    options: HouseholdOptions

    def __init__(self, options: HouseholdOptions | None = None) -> None:
        super().__init__(options or HouseholdOptions())
        self.rulebook = Rulebook.draw(self.options.rulebook)
        self._tasks: dict[str, tuple[Task, ...]] = {}
        self._world: World | None = None
        self._commands: dict[str, tuple[str, ...]] = {}
        self._observation = Observation("")

    def with_rulebook(self, seed: int) -> Household:
        """The same world under another rulebook, with skills that state it truly (for the warm-up)."""
        other = Household(self.options.model_copy(update={"rulebook": seed, "wrong_rules": 0.0}))
        other._tasks = self._tasks
        return other

    def tasks(self, split: str) -> Sequence[Task]:
        if split not in self.splits:
            raise ValueError(f"household has no split {split!r}: use one of {', '.join(self.splits)}")
        if split not in self._tasks:
            o = self.options
            self._tasks[split] = tuple(
                make_tasks(
                    split,
                    errands=o.errands,
                    things=o.things,
                    places=o.places,
                    clutter=o.clutter,
                    verbs=o.verbs,
                )
            )
        return self._tasks[split]

    def reset(self, task: Task) -> Observation:
        self._world = World(
            errands=errands_of(task),
            room=dict(task.data["room"]),
            stations=self.rulebook.stations,
            walk=self.options.walk,
        )
        return self._observe(prompts.listing(self._world))

    def step(self, action: str) -> Step:
        world = self._world
        if world is None:
            raise RuntimeError("step() before reset()")
        parts = self._commands.get(action)
        if parts is None or world.spoilt or world.won:
            return Step(Observation(NOTHING, self._observation.admissible), 0.0, world.spoilt or world.won, world.won)
        match parts:
            case ("go", spot):
                world.here = spot
            case ("take", thing, _):
                world.take(thing)
            case ("put", _, place):
                world.put(place)
            case ("close", station):
                world.close(station)
            case (verb, _, station):
                world.use(verb, station)
        won = world.won
        observation = self._observe(prompts.outcome(parts, world))
        return Step(observation, WIN if won else 0.0, won or world.spoilt, won, float(won))

    def _observe(self, text: str) -> Observation:
        assert self._world is not None
        over = self._world.spoilt or self._world.won
        actions = [] if over else self._world.admissible(self.options.places)
        self._commands = {command(parts): parts for parts in actions}
        self._observation = Observation(text, tuple(self._commands))
        return self._observation

    def parse(self, response: str) -> Action | Invalid:
        return parse_tags(response, think="optional")

    def prompt(self, history: History) -> list[Message]:
        return prompts.prompt(history, self.options.show_admissible)

    def expert(self, task: Task) -> Sequence[str]:
        return plan(task, self.rulebook.stations, self.options.walk)

    def format_response(self, action: str) -> str:
        return f"<action>{action}</action>"

    def describe_skills(self) -> Mapping[str, str]:
        stated = self.rulebook.misstated(self.options.wrong_rules, self.options.rulebook)
        return fill_skills(Path(__file__).parent / "skills", stated, self.options.verbs)

    def vocabulary(self) -> Iterator[str]:
        """Texts that hold every word of this world, under any rulebook."""
        yield from (*words.ALL_VERBS, *words.STATIONS, *words.PLACES, *words.THINGS, NOTHING, FORMAT)
        yield "the and then put it on in with > ' Task : Now : Steps taken : Commands : 0 1 2 3 4 5 6 7 8 9"
        yield "You see : nothing . You hold the mug . The mug is spoilt . You stand at the desk . go to look"
        for task in self.tasks("train")[:48]:
            world = Household(self.options)
            texts = [task.goal, world.reset(task).text]
            for action in world.expert(task):
                texts += [action, world.step(action).observation.text]
            yield " ".join(texts)
