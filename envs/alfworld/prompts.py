"""What the policy reads each turn: one user message, in full sentences or in very few words."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sdar_envs.base import History, Message

_BANNER = re.compile(r"\A-= Welcome to TextWorld, ALFRED! =-\s*")
_TASK = re.compile(r"\s*Your task is to: (?P<goal>[^\n]*?)\.?\s*\Z")

FULL = """\
You are an agent in a household, in ALFWorld's text world.
Your task: {goal}.
Steps taken so far: {steps}.{recent}
What you see now: {observation}
Commands that are possible now:
{commands}

First think about the situation inside <think> </think>. Then give exactly one of the possible commands \
inside <action> </action>."""

PHRASES = (
    "You are in the middle of a room. Looking quickly around you, you see nothing",
    "You arrive at desk 1. On the desk 1, you see a book 1, and a pen 2. Nothing happens.",
    "You open the drawer 1. The drawer 1 is open. In it, you see nothing. The drawer 1 is closed.",
    "You close the drawer 1. You pick up the pen 2 from the desk 1. You move the pen 2 to the drawer 1.",
    "You clean the mug 1 using the sinkbasin 1. You heat it. You cool it. You turn on the desklamp 1.",
    "You are facing the desk 1. Next to it, you see nothing. You are carrying: a pen 2.",
    "You are not carrying anything. There's nothing special about pen 2. This desklamp 1 is off.",
    "You turn off the desklamp 1. This is a hot and clean, cold, cool, sliced or normal mug 1.",
    "step 50: put a hot mug in desk, put some on it, find two and put them in, look at under, examine the",
    "go to take from move to use open close examine heat clean cool with look inventory help slice",
)
"""Between them, all words of the engine's sentences, tasks and commands but the names of things."""

BRIEF = "task: {goal}. step {steps}.{recent}\nnow: {observation}\nchoose: {commands}"


def goal_of(opening: str) -> str:
    """The task in a game's opening text, without its full stop; empty when there is none."""
    found = _TASK.search(opening)
    return found["goal"] if found else ""


def scene(text: str) -> str:
    """An observation without an opening's banner and task, which the prompt says itself."""
    return _TASK.sub("", _BANNER.sub("", text)).strip()


def full_prompt(history: History) -> list[Message]:
    """Task, steps taken, recent turns, observation and admissible commands, one quoted command a line."""
    recent = ""
    if history.recent:
        first = len(history.turns) - len(history.recent) + 1
        pairs = [
            f"\nStep {number}. You saw: {scene(turn.observation.text)}\nYou did: {turn.action or '(nothing)'}"
            for number, turn in enumerate(history.recent, first)
        ]
        recent = f"\nYour last {len(history.recent)} step(s):{''.join(pairs)}"
    return _message(FULL, history, recent, "\n".join(quoted(history.observation.admissible)))


def brief_prompt(history: History) -> list[Message]:
    """The same, for a small model that learns what the parts mean."""
    recent = "".join(
        f"\nsaw: {scene(turn.observation.text)}\ndid: {turn.action or 'nothing'}" for turn in history.recent
    )
    return _message(BRIEF, history, recent, ", ".join(by_place(history.observation.admissible)))


def by_place(commands: Sequence[str]) -> list[str]:
    """Commands sorted by what they end in: what can be done here stands between the places before and after,
    so that a small model finds the next place to search by reading on."""
    return sorted(commands, key=lambda command: (command.split()[-2:], command))


def quoted(commands: Sequence[str]) -> list[str]:
    return [f"'{command}'" for command in commands]


def _message(template: str, history: History, recent: str, commands: str) -> list[Message]:
    content = template.format(
        goal=history.goal,
        steps=len(history.turns),
        recent=recent,
        observation=scene(history.observation.text),
        commands=commands,
    )
    return [{"role": "user", "content": content}]
