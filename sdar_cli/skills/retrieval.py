"""Which skills of a bank go with a task, and why.

One class a rule (``skills.retrieval``), registered in ``RETRIEVERS``: ``task_type`` (exact), ``keyword``
(whole words), ``full``, ``random``, ``none``. General skills go along with any of them but ``none``,
unless ``skills.general`` is false. A task that nothing matches gets the general skills only, and
``Retrieval.has_task_skill`` says so.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from sdar_cli.errors import SkillError
from sdar_cli.skills.bank import Skill, SkillBank
from sdar_cli.skills.words import contains, words

if TYPE_CHECKING:
    from sdar_cli.recipe import schema


@dataclass(frozen=True, slots=True)
class Retrieval:
    skills: tuple[Skill, ...] = ()
    """General ones first, then the task's."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Skill name → why it was retrieved, one phrase each."""
    has_task_skill: bool = False
    """Whether a skill for this task's own type is among them; an unlabelled task counts any that is not
    general."""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(skill.name for skill in self.skills)


class Retriever:
    """Base of the rules: a rule says which task skills match; general ones are added here."""

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


class TaskTypeRetriever(Retriever):
    """Skills that list the environment's own label of the task, exactly."""

    kind = "task_type"

    def select(self, task_type: str, text: str, key: str) -> Iterable[tuple[Skill, str]]:
        return ((skill, f"task type {task_type}") for skill in self.bank.skills if task_type in skill.task_types)


class KeywordRetriever(Retriever):
    """The ``top_k`` skills with the most keywords in the text, as whole words; ties in the bank's order."""

    kind = "keyword"

    def select(self, task_type: str, text: str, key: str) -> Iterable[tuple[Skill, str]]:
        text_words = words(text)
        hits = [
            (skill, [keyword for keyword in skill.keywords if contains(text_words, words(keyword))])
            for skill in self._task_skills()
        ]
        best = sorted((hit for hit in hits if hit[1]), key=lambda hit: -len(hit[1]))[: self.section.top_k]
        return ((skill, f"keyword {', '.join(found)}") for skill, found in best)


class FullRetriever(Retriever):
    """Every skill of the bank."""

    kind = "full"

    def select(self, task_type: str, text: str, key: str) -> Iterable[tuple[Skill, str]]:
        return ((skill, "full bank") for skill in self._task_skills())


class RandomRetriever(Retriever):
    """``top_k`` task skills drawn without replacement, a control: fixed by the seed and the key alone."""

    kind = "random"

    def select(self, task_type: str, text: str, key: str) -> Iterable[tuple[Skill, str]]:
        candidates = self._task_skills()
        draw = random.Random(f"{self.seed}:{key}")
        return ((skill, "random draw") for skill in draw.sample(candidates, min(self.section.top_k, len(candidates))))


class NoRetriever(Retriever):
    """Nothing, general skills included."""

    kind = "none"

    def retrieve(self, task_type: str, text: str, key: str) -> Retrieval:
        return Retrieval()


RETRIEVERS: dict[str, type[Retriever]] = {
    rule.kind: rule for rule in (TaskTypeRetriever, KeywordRetriever, FullRetriever, RandomRetriever, NoRetriever)
}


def make_retriever(bank: SkillBank, section: schema.Skills, seed: int) -> Retriever:
    """The retriever that ``section.retrieval`` names, over ``bank``."""
    return RETRIEVERS[section.retrieval](bank, section, seed)
