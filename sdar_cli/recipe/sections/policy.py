"""``policy``: the policy-gradient term."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sdar_cli.recipe.sections.section import Section


class Policy(Section):
    """The policy-gradient part: TRL's GRPO."""

    clip: Annotated[float, Field(gt=0)] = 0.2
    dual_clip: Annotated[float, Field(gt=1)] | None = 3.0
    """Upper bound of the ratio where the advantage is negative; null: none."""
    kl_coef: Annotated[float, Field(ge=0)] = 0.01
    """k3 KL to the reference policy."""
    entropy_coef: Annotated[float, Field(ge=0)] = 0.0
    advantage: Literal["trajectory", "turn"] = "trajectory"
    """Group statistics over trajectories (the paper's formula) or over turns (the released code)."""
    aggregation: Literal["token_mean"] = "token_mean"
    """The loss is a mean over all policy tokens of an update; the only form there is."""
    epochs: Literal[1] = 1
    """Passes over a rollout's rows; the only number there is."""

    @model_validator(mode="after")
    def _dual_clip_is_the_wider(self) -> Policy:
        if self.dual_clip is not None and self.dual_clip <= 1 + self.clip:
            raise ValueError(
                f"policy.dual_clip={self.dual_clip} would clip good tokens too, within policy.clip={self.clip}: set it "
                f"above {1 + self.clip:g}, or to null"
            )
        return self
