"""The protocol of an environment: plain Python, text in and text out.

One class plays two parts. A *prototype* in the main process lists tasks, writes prompts and parses
responses; *slots*, further instances of the same class made by the pool (in worker processes when
``isolation`` says so), hold one live episode each. An environment is deterministic in the task and
the actions, and never prints.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

Message = dict[str, str]
"""A chat message: ``{"role": "system" | "user" | "assistant", "content": text}``."""


@dataclass(frozen=True, slots=True)
class Task:
    """One task: an id that is unique and stable within its environment and options."""

    id: str
    task_type: str
    goal: str = ""
    """The task's sentence, for tables and keyword retrieval; may be empty before ``reset``."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """Whatever the environment needs to build the episode; plain, picklable values."""


@dataclass(frozen=True, slots=True)
class Observation:
    text: str
    admissible: tuple[str, ...] = ()
    """Commands that the environment would accept now; empty when it cannot tell."""


@dataclass(frozen=True, slots=True)
class Step:
    observation: Observation
    reward: float
    done: bool
    won: bool = False
    score: float = 0.0
    """Native graded score in [0, 1] (WebShop); 1.0 for ``won`` elsewhere."""


@dataclass(frozen=True, slots=True)
class Action:
    text: str


@dataclass(frozen=True, slots=True)
class Invalid:
    """A response without a usable action; ``reason`` is a short, stable phrase that is counted."""

    reason: str
    fallback: str = ""
    """What is sent to the environment all the same (ALFWorld's protocol), or empty: nothing is sent,
    and the policy sees the same observation again."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A finished turn: what was sent to the environment, and what was observed before it."""

    observation: Observation
    action: str


@dataclass(frozen=True, slots=True)
class History:
    """All that a prompt may show: ``turns`` are past, ``observation`` is the current one."""

    task: Task
    goal: str
    turns: tuple[Exchange, ...]
    observation: Observation
    window: int
    """How many past turns the prompt shows; the task itself is always shown."""

    @property
    def recent(self) -> tuple[Exchange, ...]:
        return self.turns[-self.window :] if self.window else ()


class Options(BaseModel):
    """Base of an environment's typed options (``environment.options`` in a recipe): strict, as all of a recipe is.

    They are read as JSON is, so that a list may become a tuple, and text a path; but no text a number.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    beside_tasks: ClassVar[frozenset[str]] = frozenset()
    """Fields that do not change which tasks there are (where data lies, how a prompt is worded): a panel's
    hash leaves them out."""

    only_where: ClassVar[Mapping[str, tuple[str, str]]] = {}
    """Fields that are read only where another has a value, such as a generator's: field → (other, its value). A
    panel's hash holds them all the same; a reader is not shown what was not read."""


class LazyTasks(Sequence[Task]):
    """Tasks that are made when they are asked for, where a split is too large to make them all."""

    @abstractmethod
    def holds(self, task_id: str) -> bool:
        """Whether a task of this id is among them, without making them."""

    @abstractmethod
    def find(self, task_id: str) -> Task | None:
        """The task of this id, without making the others; None where it is not among them."""


class Environment(ABC):
    """One environment; see the module docstring for its two parts."""

    name: ClassVar[str]
    Options: ClassVar[type[Options]] = Options
    isolation: ClassVar[Literal["inline", "thread", "process"]] = "inline"
    """``thread`` when a step waits for something outside (a server): slots are stepped side by side, and must
    not share what is not safe to share. ``process`` when the engine is not safe to share, slow, or may crash."""
    splits: ClassVar[tuple[str, ...]] = ("train", "test")
    means: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Means over task types that a result states beside the overall success, each type counting once: name →
    task types. One is stated where all of its types were played."""
    beside_episodes: ClassVar[frozenset[str]] = frozenset({"data"})
    """Those of ``Options.beside_tasks`` that do not shape an episode either (where data lies, how a server is
    reached). The others stand in an evaluation's record, and evaluations that differ in one are not paired."""
    skills: ClassVar[Path | None] = None
    """Folder of the skill bank written for this environment."""

    def __init__(self, options: Options) -> None:
        self.options = options

    def prepare(self, workers: int = 1, progress: Callable[[int, int], None] | None = None) -> None:
        """Make or fetch what the tasks need, once, in a place that lasts; ``progress`` gets (done, total)."""

    def check(self) -> None:
        """Look for what episodes need beside their tasks, such as a server, before a model is loaded for them.

        Raises EnvironmentSetupError where it is not there.
        """

    @abstractmethod
    def tasks(self, split: str) -> Sequence[Task]:
        """All tasks of a split, in a fixed order. Splits are disjoint."""

    @abstractmethod
    def reset(self, task: Task) -> Observation:
        """Start an episode in this slot."""

    @abstractmethod
    def step(self, action: str) -> Step:
        """Apply an action; never raises for anything that a model may write."""

    @abstractmethod
    def parse(self, response: str) -> Action | Invalid:
        """The action in a response, or why there is none. Pure."""

    @abstractmethod
    def prompt(self, history: History) -> list[Message]:
        """Messages for the next turn under windowed context. Pure."""

    def followup(self, observation: Observation) -> str:
        """The user message for a later turn under full context. Pure."""
        return observation.text

    def goal(self, task: Task, first: Observation) -> str:
        """The task's sentence, known at the latest with the first observation. Pure."""
        return task.goal

    def expert(self, task: Task) -> Sequence[str] | None:
        """Actions that solve the task, or None where no expert exists."""
        return None

    def format_response(self, action: str) -> str:
        """The response text that ``parse`` reads as ``action`` (demonstrations, scripted policies)."""
        return f"<think></think><action>{action}</action>"

    def describe_skills(self) -> Mapping[str, str] | None:
        """Generated skill files (name → markdown), for environments whose bank depends on options."""
        return None

    def facts(self) -> Mapping[str, str]:
        """What shapes episodes beside the options: name_with_underscores → a word or two, such as the hash of the
        data that is there.

        Results and ``--dry-run`` state them, and evaluations that differ in one are not paired. Cheap: makes
        nothing, asks no server, and leaves out what is not there yet. Raises EnvironmentSetupError for what is
        there and damaged.
        """
        return {}

    def close(self) -> None:
        """Free the slot's resources."""
