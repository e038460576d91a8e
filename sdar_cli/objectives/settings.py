"""An objective's coefficients at one step: the recipe's, with its schedules evaluated."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sdar_cli.objectives.gates import SEE_GAP

if TYPE_CHECKING:
    from sdar_cli.recipe import schema


@dataclass(frozen=True, slots=True)
class Settings:
    coef: float = 0.01
    """λ."""
    form: str = "gated"
    divergence: str = "sampled"
    gate: str = "gap"
    beta: float = 5.0
    detach: bool = True
    normalise: str = "none"
    mu: float = 0.5
    weight_clip: float = 0.2
    """ε of RLSD, b of AgentOPSD."""
    gamma: float = 0.95
    kl_coef: float = 0.01
    statistics: str = "trajectory"
    """``policy.advantage``."""

    @classmethod
    def at(cls, recipe: schema.Recipe, step: int) -> Settings:
        """The coefficients of a step; steps count from 0.

        What the method does not read stays at its default, so that nothing is computed for it.
        """
        from sdar_cli.objectives.registry import OBJECTIVES

        objective = OBJECTIVES[recipe.method]
        distill, gate, credit = recipe.distill, recipe.gate, recipe.credit
        form = (distill.form or objective.forms[0]) if objective.forms else "gated"
        sees_gap = objective.reads("gate") and form == "gated" and gate.kind in SEE_GAP
        return cls(
            coef=scheduled(distill.coef, distill.schedule, step),
            form=form,
            divergence=distill.divergence if objective.reads("distill.divergence") else "sampled",
            gate=gate.kind,
            beta=scheduled(gate.beta, gate.schedule, step),
            detach=gate.detach,
            normalise=gate.normalise if sees_gap else "none",
            mu=scheduled(credit.mu, credit.schedule, step),
            weight_clip=credit.clip,
            gamma=credit.gamma,
            kl_coef=recipe.policy.kl_coef,
            statistics=recipe.policy.advantage,
        )


def scheduled(start: float, schedule: schema.Schedule | None, step: int) -> float:
    """A scheduled value: ``start`` at step 0, ``schedule.to`` from step ``schedule.steps`` on."""
    if schedule is None:
        return start
    share = min(1.0, step / schedule.steps)
    if share == 1.0:
        return schedule.to
    if schedule.shape == "cosine":
        share = (1 - math.cos(math.pi * share)) / 2
    return start + (schedule.to - start) * share
