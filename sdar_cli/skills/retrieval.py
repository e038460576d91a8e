"""Which skills of a bank go with a task, and why.

One class a rule (``skills.retrieval``), registered in ``RETRIEVERS``: ``task_type`` (exact), ``keyword``
(whole words), ``full``, ``random``, ``ucb`` (a bandit), ``none``. General skills go along with any of them
but ``none``, unless ``skills.general`` is false. A task that nothing matches gets the general skills only,
and ``Retrieval.has_task_skill`` says so.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import TYPE_CHECKING

from sdar_cli.skills.bank import Skill, SkillBank
from sdar_cli.skills.corruption import CorruptedRetriever
from sdar_cli.skills.retriever import Outcome, Retrieval, Retriever
from sdar_cli.skills.ucb import UcbRetriever
from sdar_cli.skills.words import contains, words

if TYPE_CHECKING:
    from sdar_cli.recipe import schema

__all__ = ["RETRIEVERS", "Outcome", "Retrieval", "Retriever", "make_retriever"]


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
    rule.kind: rule
    for rule in (TaskTypeRetriever, KeywordRetriever, FullRetriever, RandomRetriever, UcbRetriever, NoRetriever)
}


def make_retriever(bank: SkillBank, section: schema.Skills, seed: int) -> Retriever:
    """The retriever that ``section.retrieval`` names, over ``bank``; a corrupted one where ``section.corrupt`` > 0.

    Raises:
        SkillError: ``section.corrupt`` is above 0, and the bank may have no wrong skill for a task.
    """
    rule = RETRIEVERS[section.retrieval](bank, section, seed)
    return CorruptedRetriever(rule) if section.corrupt > 0 else rule
