"""The measures of a step that guards watch: when each is bad, for how long, and what is said then."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sdar_cli.evaluation.flagged import SHARE

if TYPE_CHECKING:
    from sdar_cli.recipe import schema

Kind = Literal[
    "zero_success",
    "kl",
    "entropy_low",
    "entropy_high",
    "gate_saturated",
    "task_skills",
    "zero_variance",
    "lost_episodes",
]


@dataclass(frozen=True, slots=True)
class Measure:
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
class Streak:
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


def measures(section: schema.Guards, gated: bool, grouped: bool) -> list[Measure]:
    limits = section
    times = "at this step" if limits.patience == 1 else f"for {limits.patience} steps in a row"
    out: list[Measure] = []
    if (kl := limits.kl) is not None:
        out.append(
            Measure(
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
            Measure(
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
            Measure(
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
            _share(
                "gate_saturated",
                "gate/saturated",
                saturated,
                "{} of the gates were below 0.01 or above 0.99",
                f"guards.saturated_gate={saturated:g}, {times}, so the gate no longer weighs: lower gate.beta, or set "
                "gate.normalise=zscore",
            )
        )
    if (least := limits.task_skills) is not None:
        out.append(
            Measure(
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
            _share(
                "zero_variance",
                "rollout/zero_variance_groups",
                share,
                "{} of the groups had equal rewards",
                f"guards.zero_variance={share:g}, {times}, so the policy gradient is next to nothing: raise "
                "rollout.group, or train on tasks that are neither always nor never solved",
            )
        )
    if (lost := limits.lost_episodes) is not None:
        out.append(
            _share(
                "lost_episodes",
                SHARE,
                lost,
                "the environment lost {} of the episodes",
                f"guards.lost_episodes={lost:g}, {times}, so there is less to learn from: mend it, whose faults "
                "rollout/lost/* counts",
            )
        )
    return out


def _share(kind: Kind, metric: str, limit: float, found: str, rest: str) -> Measure:
    """A share that is bad from a limit on; ``found`` has a place for it, ``rest`` begins with the limit's key."""
    return Measure(
        kind,
        metric,
        lambda value: value >= limit,
        lambda value: f"{found.format(f'{value:.1%}')}, the limit being {rest}",
    )


def _nats(value: float) -> str:
    return f"{value:.3g} nats a token" if math.isfinite(value) else "not finite"
