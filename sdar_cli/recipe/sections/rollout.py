"""``rollout``: how many episodes a step plays, and what the policy sees and may answer in them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sdar_cli.recipe.sections.section import Count, Positive, Section


class Sampling(Section):
    temperature: Annotated[float, Field(gt=0)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    top_k: Count = 0
    """0: off."""


class Rollout(Section):
    context: Literal["window", "full"] = "window"
    history: Count = 2
    """Past turns shown in a windowed prompt."""
    tasks: Positive = 16
    """Groups per step."""
    group: Positive = 8
    """Episodes per group."""
    max_turns: Positive = 50
    max_prompt_tokens: Positive = 2048
    """Window: a turn's prompt. Full: the whole conversation."""
    max_response_tokens: Positive = 512
    sampling: Sampling = Sampling()
    invalid_action_penalty: Annotated[float, Field(ge=0)] = 0.1
    """In advantage units, on the invalid turn's own tokens."""
    penalise: Literal["format", "inadmissible"] = "format"
    """What makes a turn invalid: unreadable tags only, or also a command that is not admissible."""
    record: str | None = None
    """A file: every training rollout is appended to it, for ``replay``."""
    replay: str | None = None
    """A recorded file: its episodes are trained on, step by step, and nothing is generated."""
