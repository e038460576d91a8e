"""The closed form: tokens of one episode under each context, where every turn is as long as every other."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shape:
    """Lengths in tokens."""

    turns: int
    """T."""
    head: int
    """p: what every prompt says: the template's own tokens, the instruction, the task."""
    shared: int
    """Of the head, what stands before everything that changes from turn to turn."""
    message: int
    """m: what the template puts around a message, and before an answer."""
    observation: int
    """o: an observation, the commands that are listed with it included."""
    response: int
    """r: thoughts, action and end-of-turn token."""
    past: int
    """e: a past turn as the window shows it: what was seen and what was done, without the thoughts."""
    history: int
    """h: past turns in a windowed prompt."""
    skills: int
    """s: the block that only the teacher reads."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Tokens of one episode; of several, the mean, but for ``longest``."""

    read: float
    """Prompt tokens given to generation, over all turns."""
    cached: float
    """Of these, found in a prefix cache."""
    generated: float
    trained: float
    """Tokens in training rows, prompts included: what a forward and backward pass reads."""
    teacher: float
    """Tokens that the teacher reads."""
    longest: float
    """The longest training row, skills included."""


def window(shape: Shape) -> Cost:
    """T prompts of bounded length; a cache finds the beginning that they share."""
    s = shape
    shown = sum(min(turn, s.history) for turn in range(s.turns))
    read = s.turns * (s.head + s.observation) + shown * s.past
    most = s.head + s.observation + min(s.turns - 1, s.history) * s.past
    return Cost(
        read=read,
        cached=(s.turns - 1) * s.shared,
        generated=s.turns * s.response,
        trained=read + s.turns * s.response,
        teacher=read + s.turns * (s.response + s.skills),
        longest=most + s.skills + s.response,
    )


def full(shape: Shape) -> Cost:
    """One conversation: a prompt is the one before it, the response to it, and a message; a cache finds the first two,
    but for the token that was sampled last and never read."""
    s = shape
    added = s.message + s.observation
    read = s.turns * (s.head + s.observation) + s.turns * (s.turns - 1) // 2 * (s.response + added)
    said = s.head + s.observation + s.response + (s.turns - 1) * (added + s.response)
    return Cost(
        read=read,
        cached=read - (s.head + s.observation) - (s.turns - 1) * (added + 1),
        generated=s.turns * s.response,
        trained=said,
        teacher=said + s.skills,
        longest=said + s.skills,
    )
