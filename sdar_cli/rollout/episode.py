"""What a rollout produces: episodes of turns, plain data, no tensors."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from sdar_envs.base import Task


class StopReason(StrEnum):
    SUCCESS = "success"
    FAILURE = "failure"
    """The environment ended the episode unsolved."""
    MAX_TURNS = "max_turns"
    CONTEXT_FULL = "context_full"
    """The next prompt would not fit, and nothing more may be cut from it."""
    ENVIRONMENT_ERROR = "environment_error"
    """The engine crashed or hung; counted, never trained on."""


@dataclass(slots=True)
class Turn:
    index: int
    prompt_ids: list[int]
    """Tokens the policy saw, without any skills that were not in its own prompt."""
    teacher_prompt_ids: list[int] | None
    """The same prompt with the skills block; None when no teacher is needed."""
    response_ids: list[int]
    """Sampled tokens, the end-of-turn token included when it was sampled."""
    logprobs: list[float] | None
    """The sampler's log-probabilities, where the engine returns them."""
    prompt_text: str
    response: str
    action: str | None
    """What was sent to the environment; None when nothing was."""
    invalid: str | None
    """Why the response was invalid, or None."""
    observation: str
    """What the environment answered."""
    reward: float
    truncated: bool = False
    """The response reached the token limit without an end-of-turn token."""


@dataclass(slots=True)
class Episode:
    task: Task
    goal: str
    group: int
    """Index of the group within the rollout: episodes on the same task."""
    sample: int
    """Index within the group."""
    skills: tuple[str, ...] = ()
    """Names of the retrieved skills (teacher's, or the policy's own when skills are on)."""
    has_task_skill: bool = False
    """Whether a skill for this task type was among them."""
    turns: list[Turn] = field(default_factory=list)
    stop: StopReason = StopReason.MAX_TURNS
    reward: float = 0.0
    """Sum of the environment's rewards: the return, before penalties."""
    won: bool = False
    score: float = 0.0
    error: str | None = None

    @property
    def response_tokens(self) -> int:
        return sum(len(turn.response_ids) for turn in self.turns)

    @property
    def prompt_tokens(self) -> int:
        return sum(len(turn.prompt_ids) for turn in self.turns)

    @property
    def invalid_turns(self) -> int:
        return sum(turn.invalid is not None for turn in self.turns)

    @property
    def trainable(self) -> bool:
        return self.stop is not StopReason.ENVIRONMENT_ERROR and bool(self.turns)
