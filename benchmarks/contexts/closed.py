"""The closed form: tokens of one episode under each context, where every turn is as long as every other."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shape:
    """Lengths in tokens."""

    turns: int
    """T."""
    head: int
    """p: what a prompt says whatever the turn: the template's own tokens, the instruction, the task."""
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
    """T prompts of bounded length. ``cached``: the head, which all prompts of an episode begin with."""
    s = shape
    shown = sum(min(turn, s.history) for turn in range(s.turns))
    read = s.turns * (s.head + s.observation) + shown * s.past
    most = s.head + s.observation + min(s.turns - 1, s.history) * s.past
    return Cost(
        read=read,
        cached=(s.turns - 1) * s.head,
        generated=s.turns * s.response,
        trained=read + s.turns * s.response,
        teacher=read + s.turns * (s.response + s.skills),
        longest=most + s.skills + s.response,
    )


def full(shape: Shape) -> Cost:
    """One conversation, of which every prompt repeats the one before it and the response to it."""
    s = shape
    turn = s.observation + s.response
    before = s.turns * (s.turns - 1) // 2
    read = s.turns * (s.head + s.observation) + before * turn
    said = s.head + s.turns * turn
    return Cost(
        read=read,
        cached=read - (s.head + s.turns * s.observation) - (s.turns - 1) * s.response,
        generated=s.turns * s.response,
        trained=said,
        teacher=said + s.skills,
        longest=said + s.skills,
    )
