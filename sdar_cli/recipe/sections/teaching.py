"""``teacher``, ``distill``, ``gate`` and ``credit``: who teaches, and how much of it each token receives."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from sdar_cli.objectives.gates import GATES
from sdar_cli.recipe.sections.section import Fraction, Schedule, Section


class Teacher(Section):
    kind: Literal["live", "frozen", "ema"] = "live"
    """``live``: current weights at rollout time (the paper). ``frozen``: the weights RL starts from.
    ``ema``: a moving average of the weights."""
    ema_decay: Fraction = 0.99
    """What the average keeps of itself at every optimiser update."""


class Distill(Section):
    """The distillation term, for the methods that have one."""

    coef: Annotated[float, Field(ge=0)] = 0.01
    """λ. At 0 no teacher runs."""
    schedule: Schedule | None = None
    form: Literal["gated", "uniform", "signed"] | None = None
    """``gated``: weight g; ``uniform``: weight ½ (β = 0); ``signed``: −λ·sg(Δ)·logp_S. null: the method's own."""
    divergence: Literal["sampled", "reverse", "forward", "jsd"] = "sampled"
    """On the sampled token, or over the whole vocabulary at its position."""


class Gate(Section):
    """How much of the distillation term a token receives. ``temperature`` is accepted for ``beta`` and stored
    as its inverse."""

    kind: Literal[tuple(GATES)] = "gap"
    beta: Annotated[float, Field(ge=0)] = 5.0
    schedule: Schedule | None = None
    """Of ``beta``."""
    detach: bool = True
    """Whether the gradient stops at the gate; false is the paper's ablation."""
    normalise: Literal["none", "zscore", "turn_mean"] = "none"
    """The gap that the gate sees: as it is, standardised over the rollout, or less its own turn's mean."""

    @model_validator(mode="before")
    @classmethod
    def _temperature(cls, values: Any) -> Any:
        if isinstance(values, dict) and "temperature" in values:
            values = dict(values)
            temperature = values.pop("temperature")
            if "beta" in values:
                raise ValueError("gate.beta and gate.temperature are the same wish: set one of them")
            if isinstance(temperature, bool) or not isinstance(temperature, int | float) or temperature <= 0:
                raise ValueError(f"gate.temperature must be a number above 0, not {temperature!r}")
            values["beta"] = 1.0 / temperature
        return values


class Credit(Section):
    """How a teacher redistributes the advantage, for the methods that do so (``rlsd``, ``agent_opsd``)."""

    mu: Fraction = 0.5
    """μ: share of the advantage that is redistributed. At 0 no teacher runs."""
    schedule: Schedule | None = None
    clip: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Most that a weight may differ from 1."""
    gamma: Fraction = 0.95
    """How much of the evidence of earlier turns lasts (``agent_opsd``)."""

    @model_validator(mode="after")
    def _schedule_stays_a_share(self) -> Credit:
        if self.schedule is not None and self.schedule.to > 1:
            raise ValueError(f"credit.schedule.to={self.schedule.to} is no share: set a number of at most 1")
        return self
