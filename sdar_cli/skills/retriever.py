"""What every rule of retrieval shares: its result, what it may learn from, and the general skills."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from sdar_cli.errors import SkillError
from sdar_cli.skills.bank import Skill, SkillBank

if TYPE_CHECKING:
    from sdar_cli.recipe import schema


@dataclass(frozen=True, slots=True)
class Retrieval:
    skills: tuple[Skill, ...] = ()
    """General ones first, then the task's."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Skill name → why it was retrieved, one phrase each."""
    has_task_skill: bool = False
    """Whether a skill for this task's own type is among them; an unlabelled task counts any that is neither
    general nor wrong on purpose."""
    corrupted: int = 0
    """Task skills that a wrong one stands in for (``skills.corrupt``)."""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(skill.name for skill in self.skills)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a group of episodes went under the skills that it shared; ValueError for a success outside [0, 1]."""

    skills: tuple[str, ...]
    """Names, general ones included."""
    success: float
    """Share of the group's episodes that were solved."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.success <= 1.0:
            raise ValueError(f"success is {self.success!r}, not a share")


class Retriever:
    """Base of the rules: a rule says which task skills match; general ones are added here.

    What is retrieved changes in ``observe`` alone, so that the episodes of a step share it.
    """

    kind: ClassVar[str]

    def __init__(self, bank: SkillBank, section: schema.Skills, seed: int) -> None:
        self.bank = bank
        self.section = section
        self.seed = seed

    def select(self, task_type: str, text: str, key: str) -> Iterable[tuple[Skill, str]]:
        """Task skills with the reason for each, best first."""
        raise NotImplementedError

    def retrieve(self, task_type: str, text: str, key: str) -> Retrieval:
        """Skills for a task: ``text`` is the task's sentence, ``key`` its id (random draws depend on it)."""
        chosen = {skill.name: (skill, reason) for skill, reason in self._general()}
        chosen |= {skill.name: (skill, reason) for skill, reason in self.select(task_type, text, key)}
        skills = tuple(skill for skill, _ in chosen.values())
        return Retrieval(
            skills=skills,
            reasons={name: reason for name, (_, reason) in chosen.items()},
            has_task_skill=any(
                not skill.general and (not task_type or task_type in skill.task_types) for skill in skills
            ),
        )

    def _general(self) -> Iterable[tuple[Skill, str]]:
        return ((skill, "general") for skill in self.bank.skills if skill.general and self.section.general)

    def _task_skills(self) -> list[Skill]:
        return [skill for skill in self.bank.skills if not skill.general]

    def observe(self, outcomes: Sequence[Outcome]) -> None:
        """Learn from a rollout, one outcome a group, in the groups' order; most rules learn nothing."""

    def clean(self) -> Retriever:
        """The same rule, and the same state, without ``skills.corrupt``: what evaluations retrieve by."""
        return self

    def metrics(self) -> dict[str, float]:
        """What is worth logging of the rule's state, under stable names; nothing for most rules."""
        return {}

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps, plain JSON values."""
        return {"retrieval": self.kind, "bank": self.bank.digest}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take a checkpoint's state; SkillError when it belongs to another rule or another bank."""
        for key, own in Retriever.state(self).items():
            if state.get(key) != own:
                raise SkillError(
                    f"the checkpoint's {key} is {state.get(key)!r}, the recipe's bank '{self.bank.name}' "
                    f"has {own!r}: restore the bank and skills.retrieval that the run began with"
                )
