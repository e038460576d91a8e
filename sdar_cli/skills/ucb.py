"""``skills.retrieval: ucb``: a bandit chooses the task skills, by similarity and by how groups went with them.

    score = α·sim + (1 − α)·(u + κ·√(ln(1 + N) / (1 + n)))

This is our reading: the paper names the rule and publishes no formula. α is ``skills.ucb.alpha``, κ
``skills.ucb.kappa``. sim is the BM25 similarity of the task's sentence and the words of its type with the
skill's name, description, keywords and text, over the highest among the bank's task skills. N counts the
groups observed, n those of them that were shown the skill, wrong on purpose or not. The utility u starts at
½ and, for each such group, becomes u + ρ·(success − u), with ρ = ``skills.ucb.rate`` and the group's mean
success. The ``skills.top_k`` highest scores are retrieved; ties in the bank's order.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sdar_cli.errors import SkillError
from sdar_cli.skills.bank import Skill, SkillBank
from sdar_cli.skills.retriever import Outcome, Retriever
from sdar_cli.skills.similarity import Similarity

if TYPE_CHECKING:
    from sdar_cli.recipe import schema

START = 0.5
"""A skill's utility before any group was shown it."""


@dataclass(slots=True)
class Arm:
    """What is known of a skill."""

    utility: float = START
    groups: int = 0


@dataclass(frozen=True, slots=True)
class Ranked:
    """A skill's score for a task, and its parts."""

    skill: Skill
    score: float
    similarity: float
    utility: float
    groups: int
    """n"""
    bonus: float
    """κ·√(ln(1 + N) / (1 + n))"""


class UcbRetriever(Retriever):
    """The ``top_k`` task skills with the highest upper confidence bounds."""

    kind = "ucb"

    def __init__(self, bank: SkillBank, section: schema.Skills, seed: int) -> None:
        super().__init__(bank, section, seed)
        self.groups = 0
        """N"""
        self._candidates = self._task_skills()
        self._arms = {skill.name: Arm() for skill in self._candidates}
        self._similarity = Similarity([_text(skill) for skill in self._candidates])

    def rank(self, task_type: str, text: str) -> list[Ranked]:
        """Every task skill of the bank with its score, best first."""
        similar = self._similarity.to(f"{text} {task_type}")
        ranked = [self._score(skill, value) for skill, value in zip(self._candidates, similar, strict=True)]
        return sorted(ranked, key=lambda item: -item.score)

    def select(self, task_type: str, text: str, key: str) -> Iterable[tuple[Skill, str]]:
        return ((item.skill, _reason(item)) for item in self.rank(task_type, text)[: self.section.top_k])

    def _score(self, skill: Skill, similarity: float) -> Ranked:
        knobs, arm = self.section.ucb, self._arms[skill.name]
        bonus = knobs.kappa * math.sqrt(math.log1p(self.groups) / (1 + arm.groups))
        score = knobs.alpha * similarity + (1 - knobs.alpha) * (arm.utility + bonus)
        return Ranked(skill, score, similarity, arm.utility, arm.groups, bonus)

    def observe(self, outcomes: Sequence[Outcome]) -> None:
        """Count every group, and move the utilities of the skills that it was shown.

        Raises:
            SkillError: a skill is not in the bank; nothing is counted then.
        """
        known = {skill.name for skill in self.bank.skills}
        for outcome in outcomes:
            for name in outcome.skills:
                if name not in known:
                    raise SkillError(
                        f"a group was shown the skill '{name}', which the bank '{self.bank.name}' does not hold: "
                        "restore the bank that its rollout was played with"
                    )
        for outcome in outcomes:
            self.groups += 1
            for name in dict.fromkeys(outcome.skills):
                if (arm := self._arms.get(name)) is not None:
                    arm.groups += 1
                    arm.utility += self.section.ucb.rate * (outcome.success - arm.utility)

    def metrics(self) -> dict[str, float]:
        """Entropy of how often each skill was shown, over its maximum (1: evenly), and the mean utility."""
        counts = [arm.groups for arm in self._arms.values()]
        total = sum(counts)
        if not total:
            return {}
        entropy = -sum(n / total * math.log(n / total) for n in counts if n)
        return {
            "skills/ucb/entropy": entropy / math.log(len(counts)) if len(counts) > 1 else 0.0,
            "skills/ucb/utility_mean": sum(arm.utility for arm in self._arms.values()) / len(counts),
        }

    def state(self) -> dict[str, Any]:
        arms = {name: asdict(arm) for name, arm in self._arms.items()}
        return super().state() | {"groups": self.groups, "skills": arms}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take a checkpoint's state; SkillError when it belongs elsewhere, or is damaged."""
        super().load_state(state)
        groups, arms = state.get("groups"), state.get("skills")
        if not _is_count(groups) or not isinstance(arms, Mapping) or arms.keys() != self._arms.keys():
            raise _damaged()
        loaded = {name: _arm(arms[name]) for name in self._arms}
        if any(arm.groups > groups for arm in loaded.values()):
            raise _damaged()
        self.groups, self._arms = groups, loaded


def _text(skill: Skill) -> str:
    return "\n".join((skill.name, skill.description, *skill.keywords, skill.body))


def _reason(item: Ranked) -> str:
    return (
        f"ucb {item.score:.3f} (similarity {item.similarity:.2f}, utility {item.utility:.2f}, "
        f"bonus {item.bonus:.2f}, n {item.groups})"
    )


def _arm(value: Any) -> Arm:
    if not isinstance(value, Mapping) or value.keys() != {"utility", "groups"} or not _is_count(value["groups"]):
        raise _damaged()
    utility = value["utility"]
    if isinstance(utility, bool) or not isinstance(utility, int | float) or not 0.0 <= utility <= 1.0:
        raise _damaged()
    return Arm(float(utility), value["groups"])


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _damaged() -> SkillError:
    return SkillError("the checkpoint's 'retriever' is no state of ucb: resume from an earlier checkpoint")
