"""ALFWorld: household tasks in text, on the benchmark's own engine (Shridhar et al. 2021, arXiv 2010.03768).

Reward 10 for a solved game, at its end. Two sources of games: the official ones, and small ones generated
with the real domain and grammar, for tests and tiny models. Heavy packages are imported with the first game.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from sdar_cli.errors import EnvironmentSetupError
from sdar_envs.alfworld import generated, official, prompts
from sdar_envs.alfworld.vetting import GAME_FILE, Game, read_game
from sdar_envs.alfworld.world import ROOMS
from sdar_envs.base import Action, Environment, History, Invalid, Message, Observation, Options, Step, Task
from sdar_envs.tags import parse_tags

FALLBACK_CHARACTERS = 30
BRIEF_SKILLS = Path(__file__).parent / "skills_brief"


class AlfworldOptions(Options):
    beside_tasks: ClassVar[frozenset[str]] = frozenset({"data", "brief"})
    only_where: ClassVar[Mapping[str, tuple[str, str]]] = dict.fromkeys(
        ("train", "test", "seed", "receptacles", "things", "max_expert_turns"), ("games", "generated")
    )

    games: Literal["official", "generated"] = "official"
    data: str | None = None
    """Official games: the folder that holds ``json_2.1.1``; null: ``ALFWORLD_DATA``, else
    ``~/.cache/alfworld``."""
    brief: bool = False
    """Prompts in very few words, for a tiny model whose tokens are words."""
    train: Annotated[int, Field(ge=1, le=100_000)] = 512
    """Generated games: how many to train on."""
    test: Annotated[int, Field(ge=1, le=100_000)] = 128
    """Generated games: how many are held out."""
    seed: int = 0
    """Generated games: their seed."""
    receptacles: Annotated[int, Field(ge=3, le=12)] = 6
    """Generated games: places in a room."""
    things: Annotated[int, Field(ge=1, le=12)] = 5
    """Generated games: things in a room, the lamp not counted."""
    max_expert_turns: Annotated[int, Field(ge=4, le=50)] = 12
    """Generated games: none whose search takes the expert longer."""

    @model_validator(mode="after")
    def _one_source(self) -> AlfworldOptions:
        if self.data is not None and self.games == "generated":
            raise ValueError("data holds official games: set games=official, or leave data out")
        return self

    @property
    def suite(self) -> generated.Suite:
        return generated.Suite(self.train, self.test, self.seed, self.receptacles, self.things, self.max_expert_turns)


class Alfworld(Environment):
    """The six task types of ALFWorld, official or generated games."""

    name = "alfworld"
    Options = AlfworldOptions
    isolation = "process"
    splits: ClassVar[tuple[str, ...]] = official.SPLITS
    skills = Path(__file__).parent / "skills"

    def __init__(self, options: AlfworldOptions) -> None:
        super().__init__(options)
        self.options: AlfworldOptions
        # Which splits there are depends on the games; the instance's answer stands in front of the class's.
        self.splits = (  # type: ignore[misc]
            generated.SPLITS if options.games == "generated" else official.splits(options.data)
        )
        self._engine: Any = None

    def prepare(self, workers: int = 1, progress: generated.Progress | None = None) -> None:
        """Generate the games now, if they are generated ones and not there; ``tasks`` does it otherwise."""
        if self.options.games == "generated":
            generated.generate(self.options.suite, workers=workers, progress=progress)

    def tasks(self, split: str) -> Sequence[Task]:
        if self.options.games == "official" and split in official.SPLITS:
            return official.tasks(self.options.data, split)
        if split not in self.splits:
            raise EnvironmentSetupError(
                f"{self.options.games} ALFWorld games have no split {split!r}: use one of {', '.join(self.splits)}"
            )
        self.prepare(workers=min(os.cpu_count() or 1, (self.options.train + self.options.test) // 32 or 1))
        root = self.options.suite.folder / generated.GAMES_FOLDER
        return [
            Task(
                entry["id"],
                entry["task_type"],
                entry["goal"],
                {"file": str(root / entry["id"] / GAME_FILE), "expert": entry["search"]},
            )
            for entry in generated.index(self.options.suite)[split]
        ]

    def reset(self, task: Task) -> Observation:
        from sdar_envs.alfworld.engine import Engine

        game = _game(task.data["file"])
        if self._engine is None:
            self._engine = Engine()
        return _observation(self._engine.start(game))

    def step(self, action: str) -> Step:
        screen = self._engine.send(action)
        won = screen.won
        return Step(_observation(screen), 10.0 if won else 0.0, done=won, won=won, score=float(won))

    def parse(self, response: str) -> Action | Invalid:
        """Both tags are required. What is sent all the same is the released code's choice: what stands
        between action tags, else the response's last 30 characters."""
        parsed = parse_tags(response, think="required")
        if isinstance(parsed, Action):
            return parsed
        lowered = response.lower()
        _, opened, rest = lowered.partition("<action>")
        inner, closed, _ = rest.partition("</action>")
        text = inner if opened and closed else lowered[-FALLBACK_CHARACTERS:]
        return Invalid(parsed.reason, fallback=" ".join(text.split()))

    def prompt(self, history: History) -> list[Message]:
        return prompts.brief_prompt(history) if self.options.brief else prompts.full_prompt(history)

    def followup(self, observation: Observation) -> str:
        commands = observation.admissible
        if self.options.brief:
            return f"now: {prompts.scene(observation.text)}\nchoose: {', '.join(prompts.by_place(commands))}"
        listed = "\n".join(prompts.quoted(commands))
        return f"{prompts.scene(observation.text)}\nCommands that are possible now:\n{listed}"

    def goal(self, task: Task, first: Observation) -> str:
        return task.goal or prompts.goal_of(first.text)

    def expert(self, task: Task) -> Sequence[str] | None:
        """Generated games: a search that can be read off the screen. Official ones: the game's walkthrough,
        which knows where things are. (The package's hand-coded expert cannot do the pick-two type.)"""
        if "expert" in task.data:
            return tuple(task.data["expert"])
        return _game(task.data["file"]).walkthrough or None

    def describe_skills(self) -> Mapping[str, str] | None:
        """With ``brief``, a bank in as few words; otherwise the folder ``skills`` is taken."""
        if not self.options.brief:
            return None
        return {file.name: file.read_text(encoding="utf-8") for file in sorted(BRIEF_SKILLS.glob("*.md"))}

    def vocabulary(self) -> Iterator[str]:
        """Texts that hold every word of the generated games, for a word tokenizer."""
        for supply, things in ROOMS.values():
            yield from (kind.lower() for kind in (*supply, *things))
        yield from prompts.PHRASES
        if self.options.games == "generated":
            yield from (task.goal for task in self.tasks("train"))

    def close(self) -> None:
        if self._engine is not None:
            self._engine.close()
            self._engine = None


@lru_cache(maxsize=32)
def _game(file: str) -> Game:
    return read_game(Path(file))


def _observation(screen: Any) -> Observation:
    return Observation(screen.text, tuple(command for command in screen.commands if command != "help"))
