"""Guard rails: when a run's own measures say that training has gone wrong.

``Guards`` only watches: it is fed every step's metrics and every evaluation without skills, in their order,
and answers with what it found. The same history gives the same findings, so a resumed run needs no state of
it but the journal, which ``replay`` reads. docs/guards.md lists the kinds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from sdar_cli.errors import RunFailed
from sdar_cli.evaluation.flagged import SHARE, Flagged
from sdar_cli.runs.checkpoints import SUCCESS
from sdar_cli.training.guard_measures import Kind, Streak, measures

if TYPE_CHECKING:
    from sdar_cli.evaluation.result import Evaluation
    from sdar_cli.recipe import schema

COLLAPSES = frozenset({"zero_success", "kl", "entropy_low", "entropy_high"})
"""Kinds that say that the policy is broken; the others say that a part of the method has no effect."""


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
        self._watched = [(measure, Streak(section.patience)) for measure in measures(section, gated, grouped)]
        self._last_evaluation = -1
        self._solved: tuple[float, int] | None = None
        self._zeros = 0
        self._all_lost = 0
        """Steps in a row of which every episode was lost."""
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
        """What one finished step's metrics say. A step without training rows tells of lost episodes alone."""
        self._all_lost = self._all_lost + 1 if values.get(SHARE) == 1 else 0
        idle = values.get("optim/rows") == 0
        found = []
        for measure, streak in self._watched:
            if not measure.applies(values) or (idle and measure.metric != SHARE):
                continue
            value = values[measure.metric]
            if streak.add(measure.is_bad(value)):
                found.append(self._keep(measure.kind, step, measure.sentence(value)))
        return found

    def check_environment(self, values: Mapping[str, float]) -> None:
        """
        Args:
            values: the metrics of the step that was fed last.

        Raises:
            RunFailed: nothing is left to train on, as every episode of ``patience`` steps was lost.
        """
        if self.section.lost_episodes is None or self._all_lost < self.section.patience:
            return
        steps = "a step" if self._all_lost == 1 else f"{self._all_lost} steps in a row"
        raise RunFailed(
            f"every episode of {steps} was lost by the environment, the last ones being {Flagged.of_journal([values])}:"
            " mend what it needs and go on with `sdar resume`, or let guards.lost_episodes=null play on"
        )

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
