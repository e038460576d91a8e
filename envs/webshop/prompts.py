"""What the policy reads each turn: one user message, in full sentences or in very few words."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sdar_envs.base import History, Message
from sdar_envs.webshop.pages import SEPARATOR

MOST_CHARACTERS = 6000
"""Of one observation in a full prompt, quotes apart; about 1,500 tokens of English."""
CUT = " … (cut)"
"""Stands at the end of a string that was shortened."""
PRICE_LIMIT = re.compile(r",? and price lower than [\d.]+ dollars$")
"""How a task words its price limit."""
OPENING = re.compile(
    r"^(?:(?:i|we|my friend) (?:am looking for|need|needs|want to buy|want|wants|would like)|find me|can you find)\s+"
    r"(?:a pair of |an? |some |the )?",
)
PLEA = re.compile(r" for me\b")

FULL = """\
You are a shopper in WebShop, a shop that is read and used as text.
Your task: {goal}
Steps taken so far: {steps}.{recent}
The page that you see now: {observation}
Actions that are possible now:
{commands}
A search is possible on every page: search[words that describe what you want].

First think about the page and the task inside <think> </think>. Then give exactly one action inside \
<action> </action>."""

BRIEF = "task: {goal}. step {steps}.{recent} now: {observation}"


def full_prompt(history: History) -> list[Message]:
    """Task, steps taken, recent turns, the page's strings after the goal, and the possible actions, one quoted
    one a line."""
    recent = ""
    if history.recent:
        first = len(history.turns) - len(history.recent) + 1
        pairs = [
            f"\nStep {number}. You saw: {quoted_page(turn.observation.text, history.goal)}"
            f"\nYou did: {turn.action or '(nothing)'}"
            for number, turn in enumerate(history.recent, first)
        ]
        recent = f"\nYour last {len(history.recent)} step(s):{''.join(pairs)}"
    observation = quoted_page(history.observation.text, history.goal)
    content = FULL.format(
        goal=history.goal,
        steps=len(history.turns),
        recent=recent,
        observation=observation,
        commands="\n".join(quoted(history.observation.admissible)),
    )
    return [{"role": "user", "content": content}]


def brief_prompt(history: History) -> list[Message]:
    """The same for a small model: of recent turns what was done, no list beside the page that shows what can be
    clicked, no price limit, as no price is shown."""
    content = BRIEF.format(
        goal=brief_goal(history.goal),
        steps=len(history.turns),
        recent="".join(f" did: {turn.action or 'nothing'}." for turn in history.recent),
        observation=history.observation.text,
    )
    return [{"role": "user", "content": content}]


def brief_goal(goal: str) -> str:
    """The task in lower case, without what opens it politely and without its price limit.

    >>> brief_goal("I need a slim shirt, cotton and warm with color: red, and price lower than 40.00 dollars")
    'slim shirt, cotton and warm with color: red'
    """
    text = PRICE_LIMIT.sub("", " ".join(goal.lower().split()))
    return PLEA.sub("", OPENING.sub("", text)).rstrip(". ")


def quoted_page(text: str, goal: str) -> str:
    """The page's strings that follow the goal, each quoted; the longest are shortened where all are too long."""
    strings = text.split(SEPARATOR)
    if goal in strings:
        strings = strings[strings.index(goal) + 1 :]
    return SEPARATOR.join(quoted(shorten(strings, MOST_CHARACTERS)))


def shorten(strings: Sequence[str], most: int) -> list[str]:
    """Cut the longest strings to one length, so that all together have about ``most`` characters.

    Short ones, such as buttons and options, stay whole; what is cut ends in ``CUT``.
    """
    if sum(map(len, strings)) <= most:
        return list(strings)
    room, left = most, len(strings)
    for length in sorted(map(len, strings)):
        if length * left > room:
            break
        room, left = room - length, left - 1
    longest = max(room // left - len(CUT), 0)
    return [text if len(text) <= longest + len(CUT) else text[:longest].rstrip() + CUT for text in strings]


def quoted(texts: Sequence[str]) -> list[str]:
    return [f"'{text}'" for text in texts]
