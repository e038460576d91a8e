"""``skills.corrupt``: wrong skills in the place of right ones, a study of how much the teacher's skills matter."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sdar_cli.errors import SkillError
from sdar_cli.skills.bank import Skill
from sdar_cli.skills.retriever import Outcome, Retrieval, Retriever


class CorruptedRetriever(Retriever):
    """Another rule's retrieval, each of its task skills replaced with probability ``skills.corrupt``.

    A wrong skill is a task skill of the bank that is not for the task's type and that the rule did not
    retrieve. Whether one comes, and which, is fixed by the seed, the task's id and the name of the skill it
    replaces. Two stand for different wrong skills, unless there are too few of them. General skills stay.
    """

    def __init__(self, rule: Retriever) -> None:
        """Raises SkillError when the bank may have no wrong skill for a task."""
        super().__init__(rule.bank, rule.section, rule.seed)
        self._rule = rule
        _check(rule)

    @property
    def kind(self) -> str:
        return self._rule.kind

    def retrieve(self, task_type: str, text: str, key: str) -> Retrieval:
        found = self._rule.retrieve(task_type, text, key)
        wrong = [skill for skill in self._wrong(task_type) if skill.name not in found.reasons]
        shown: dict[str, Skill] = {}
        reasons: dict[str, str] = {}
        drawn: dict[str, list[str]] = {}
        for skill in found.skills:
            draw = random.Random(f"corrupt:{self.seed}:{key}:{skill.name}")
            if skill.general or draw.random() >= self.section.corrupt:
                shown[skill.name], reasons[skill.name] = skill, found.reasons[skill.name]
                continue
            other = draw.choice([skill for skill in wrong if skill.name not in drawn] or wrong)
            shown[other.name] = other
            drawn.setdefault(other.name, []).append(skill.name)
            reasons[other.name] = f"wrong on purpose, in place of {', '.join(drawn[other.name])}"
        return replace(
            found,
            skills=tuple(shown.values()),
            reasons=reasons,
            has_task_skill=any(
                not skill.general and skill.name not in drawn and (not task_type or task_type in skill.task_types)
                for skill in shown.values()
            ),
            corrupted=sum(map(len, drawn.values())),
        )

    def _wrong(self, task_type: str) -> list[Skill]:
        return [skill for skill in self._task_skills() if task_type not in skill.task_types]

    def clean(self) -> Retriever:
        return self._rule

    def observe(self, outcomes: Sequence[Outcome]) -> None:
        self._rule.observe(outcomes)

    def metrics(self) -> dict[str, float]:
        return self._rule.metrics()

    def state(self) -> dict[str, Any]:
        return self._rule.state()

    def load_state(self, state: Mapping[str, Any]) -> None:
        self._rule.load_state(state)


def _check(rule: Retriever) -> None:
    """SkillError where some task could be left without a wrong skill to draw."""
    bank, top_k = rule.bank, rule.section.top_k
    if rule.kind == "none":
        raise SkillError("skills.corrupt has nothing to replace under skills.retrieval=none: set it to 0")
    if rule.kind == "full":
        raise SkillError(
            "skills.corrupt has no other skill to draw under skills.retrieval=full, which shows them all: "
            "set skills.retrieval to task_type"
        )
    for task_type in bank.task_types:
        others = sum(not skill.general and task_type not in skill.task_types for skill in bank.skills)
        if not others:
            raise SkillError(
                f"skills.corrupt has no wrong skill to draw for '{task_type}', which every task skill of the bank "
                f"'{bank.name}' is for: add skills for other task types, or set it to 0"
            )
        if rule.kind != "task_type" and others <= top_k:
            remedy = f"set skills.top_k to {others - 1}" if others > 1 else "add skills for other task types"
            raise SkillError(
                f"skills.corrupt may have no wrong skill left for '{task_type}', as skills.top_k is {top_k} and the "
                f"bank '{bank.name}' has {others} for other task types: {remedy}"
            )
    if not bank.task_types:
        raise SkillError(f"skills.corrupt has nothing to replace: the bank '{bank.name}' has general skills only")
