"""Guard rails: when a run's own measures say that training has gone wrong.

``Guards`` only watches: it is fed every step's metrics and every evaluation without skills, in their order,
and answers with what it found. The same history gives the same findings, so a resumed run needs no state of
it but the journal, which ``replay`` reads. docs/guards.md lists the kinds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    from sdar_cli.evaluation.result import Evaluation
    from sdar_cli.recipe import schema

Kind = Literal["zero_success", "kl", "entropy_low", "entropy_high", "gate_saturated", "task_skills", "zero_variance"]
COLLAPSES = frozenset({"zero_success", "kl", "entropy_low", "entropy_high"})
"""Kinds that say that the policy is broken; the others say that a part of the method has no effect."""

SUCCESS = "eval/no_skills/success"


@dataclass(frozen=True, slots=True)
class Finding:
    kind: Kind
    step: int
    """Finished steps when it was found; 0: the base."""
    sentence: str
    """The figure, the limit, the key that sets it, and what to do."""
    collapse: bool

    @property
    def what(self) -> str:
        """The sentence without what to do."""
        return self.sentence.partition(": ")[0]

    @property
    def ending(self) -> str:
        """The sentence of a run that it ended."""
        return f"the training collapsed at step {self.step}, as {self.sentence}"

    def __str__(self) -> str:
        return f"step {self.step}: {self.sentence}"


class Guards:
    """Findings of one run, each kind once until its measure has been well again for ``patience`` steps.

    Args:
        section: the limits; a kind whose limit is None is not watched.
        gated: whether the method has a gate that can select (a gate fixed at 1 is not saturated).
        grouped: whether rewards are compared within groups, so that equal ones leave no policy gradient.
    """

    def __init__(self, section: schema.Guards, *, gated: bool = True, grouped: bool = True) -> None:
        self.section = section
        self._watched = [(measure, _Streak(section.patience)) for measure in _measures(section, gated, grouped)]
        self._last_evaluation = -1
        self._solved: tuple[float, int] | None = None
        self._zeros = 0
        self.findings: list[Finding] = []
        """All so far, in the order in which they were found."""

    @classmethod
    def of(cls, recipe: schema.Recipe) -> Self:
        """The guards that have a meaning under the recipe's method."""
        from sdar_cli.objectives.registry import OBJECTIVES

        objective = OBJECTIVES[recipe.method]
        grouped = objective.policy and not objective.whole_batch
        return cls(recipe.guards, gated=recipe.gate.kind != "none", grouped=grouped)

    @property
    def collapse(self) -> Finding | None:
        """The first finding that is a collapse."""
        return next((finding for finding in self.findings if finding.collapse), None)

    def metrics(self, step: int, values: Mapping[str, float]) -> list[Finding]:
        """What one finished step's metrics say. A step without training rows says nothing."""
        if values.get("optim/rows") == 0:
            return []
        found = []
        for measure, streak in self._watched:
            if not measure.applies(values):
                continue
            value = values[measure.metric]
            if streak.add(measure.is_bad(value)):
                found.append(self._keep(measure.kind, step, measure.sentence(value)))
        return found

    def evaluation(self, evaluation: Evaluation) -> list[Finding]:
        """What one evaluation says; those with skills, and a step that was evaluated before, say nothing."""
        if evaluation.mode != "no_skills":
            return []
        return self._success(evaluation.step or 0, evaluation.summary.success.estimate)

    def replay(self, rows: Iterable[Mapping[str, float]]) -> list[Finding]:
        """Feed rows of a journal, by ascending step, as if they happened now."""
        found: list[Finding] = []
        for row in rows:
            step = int(row["step"])
            if SUCCESS in row:
                found += self._success(step, row[SUCCESS])
            if "loss/total" in row:
                found += self.metrics(step, row)
        return found

    def _success(self, step: int, success: float) -> list[Finding]:
        limit = self.section.zero_success
        if limit is None or step <= self._last_evaluation:
            return []
        self._last_evaluation = step
        if success > 0:
            self._solved, self._zeros = (success, step), 0
            return []
        self._zeros += 1
        if self._solved is None or self._zeros != limit:
            return []
        before, when = self._solved
        where = f"at step {when}" if when else "by the base"
        times = "the last evaluation" if limit == 1 else f"{limit} evaluations in a row"
        return [
            self._keep(
                "zero_success",
                step,
                f"no task was solved without skills in {times} (guards.zero_success={limit}), after "
                f"{before:.1%} {where}: lower optimiser.learning_rate or distill.coef, or raise policy.kl_coef",
            )
        ]

    def _keep(self, kind: Kind, step: int, sentence: str) -> Finding:
        self.findings.append(Finding(kind, step, sentence, kind in COLLAPSES))
        return self.findings[-1]


@dataclass(frozen=True, slots=True)
class _Measure:
    """One metric of a step, and when it is bad."""

    kind: Kind
    metric: str
    is_bad: Callable[[float], bool]
    sentence: Callable[[float], str]
    only_where: str | None = None
    """A metric that must be 1, for a measure that has no meaning otherwise."""

    def applies(self, values: Mapping[str, float]) -> bool:
        return self.metric in values and (self.only_where is None or values.get(self.only_where) == 1)


@dataclass(slots=True)
class _Streak:
    """Says yes once when ``patience`` values in a row were bad, and again only after as many good ones."""

    patience: int
    bad: int = 0
    well: int = 0
    armed: bool = True

    def add(self, is_bad: bool) -> bool:
        self.bad, self.well = (self.bad + 1, 0) if is_bad else (0, self.well + 1)
        if self.well >= self.patience:
            self.armed = True
        if self.armed and self.bad >= self.patience:
            self.armed = False
            return True
        return False


def _measures(section: schema.Guards, gated: bool, grouped: bool) -> list[_Measure]:
    limits = section
    times = "at this step" if limits.patience == 1 else f"for {limits.patience} steps in a row"
    out: list[_Measure] = []
    if (kl := limits.kl) is not None:
        out.append(
            _Measure(
                "kl",
                "policy/kl",
                lambda value: not value <= kl,
                lambda value: (
                    f"the KL to the reference was {_nats(value)}, above guards.kl={kl:g}, {times}: "
                    "lower optimiser.learning_rate, or raise policy.kl_coef"
                ),
            )
        )
    if limits.entropy is not None:
        low, high = limits.entropy
        key = f"guards.entropy=[{low:g}, {high:g}]"
        out.append(
            _Measure(
                "entropy_low",
                "policy/entropy",
                lambda value: value < low,
                lambda value: (
                    f"the policy's entropy was {_nats(value)}, below {key}, {times}: "
                    "lower optimiser.learning_rate, or raise policy.entropy_coef"
                ),
            )
        )
        out.append(
            _Measure(
                "entropy_high",
                "policy/entropy",
                lambda value: not value <= high,
                lambda value: (
                    f"the policy's entropy was {_nats(value)}, above {key}, {times}: "
                    "lower optimiser.learning_rate or policy.entropy_coef"
                ),
            )
        )
    if gated and (saturated := limits.saturated_gate) is not None:
        out.append(
            _Measure(
                "gate_saturated",
                "gate/saturated",
                lambda value: value >= saturated,
                lambda value: (
                    f"{value:.1%} of the gates were below 0.01 or above 0.99, the limit being "
                    f"guards.saturated_gate={saturated:g}, {times}, so the gate no longer weighs: "
                    "lower gate.beta, or set gate.normalise=zscore"
                ),
            )
        )
    if (least := limits.task_skills) is not None:
        out.append(
            _Measure(
                "task_skills",
                "teacher/task_skill_fraction",
                lambda value: value < least,
                lambda value: (
                    f"only {value:.1%} of the teacher's prompts held a skill for their task, below "
                    f"guards.task_skills={least:g}, {times}: write skills for the task types that lack one, or "
                    "choose another skills.retrieval"
                ),
                only_where="teacher/active",
            )
        )
    if grouped and (share := limits.zero_variance) is not None:
        out.append(
            _Measure(
                "zero_variance",
                "rollout/zero_variance_groups",
                lambda value: value >= share,
                lambda value: (
                    f"{value:.1%} of the groups had equal rewards, the limit being guards.zero_variance={share:g}, "
                    f"{times}, so the policy gradient is next to nothing: raise rollout.group, or train on tasks "
                    "that are neither always nor never solved"
                ),
            )
        )
    return out


def _nats(value: float) -> str:
    return f"{value:.3g} nats a token" if math.isfinite(value) else "not finite"
