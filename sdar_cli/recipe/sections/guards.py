"""``guards``: what is watched while training."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from sdar_cli.recipe.sections.section import Fraction, Positive, Section


class Guards(Section):
    """When training has gone wrong. Each finding is a warning and a tag in MLflow; null switches one off."""

    stop_on_collapse: bool = False
    """End the run at the first collapse: success at zero, KL or entropy out of range."""
    zero_success: Positive | None = 3
    """Evaluations without a solved task, after one that solved some."""
    kl: Annotated[float, Field(gt=0)] | None = 10.0
    """Highest KL to the reference, in nats a token."""
    entropy: Annotated[list[float], Field(min_length=2, max_length=2)] | None = [1e-4, 8.0]
    """Range of the policy's entropy, in nats a token: lowest, highest."""
    saturated_gate: Fraction | None = 0.99
    """Share of gates below 0.01 or above 0.99 from which the gate no longer selects."""
    task_skills: Fraction | None = 0.9
    """Least share of teacher prompts with a skill for the task."""
    zero_variance: Fraction | None = 0.95
    """Share of groups without reward variance from which there is no policy gradient."""
    lost_episodes: Fraction | None = 0.5
    """Share of a step's episodes that the environment lost. Where it lost all of them the run ends."""
    patience: Positive = 5
    """Steps in a row before a step's measure counts."""

    @model_validator(mode="after")
    def _entropy_is_a_range(self) -> Guards:
        if self.entropy is not None and not self.entropy[0] < self.entropy[1]:
            raise ValueError(f"guards.entropy={self.entropy} is no range: give the lower bound first")
        return self
