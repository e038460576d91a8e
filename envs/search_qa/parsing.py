"""Reading ``<think>…</think>`` and then one ``<search>…</search>`` or ``<answer>…</answer>`` out of a response.

Strict, and total: any string gives an ``Action`` or an ``Invalid`` whose reason is one of ``REASONS``, in time
linear in the length of the string. An action is written ``search[words]`` or ``answer[text]``, which a person
can type as well.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from sdar_envs.base import Action, Invalid

Kind = Literal["search", "answer"]

REASONS = (
    "no search or answer",
    "no think tag",
    "unclosed think tag",
    "unopened think tag",
    "two thinks",
    "think after action",
    "tag inside a tag",
    "search and answer",
    "two searches",
    "two answers",
    "unclosed search tag",
    "unclosed answer tag",
    "unopened search tag",
    "unopened answer tag",
    "empty search",
    "empty answer",
)
"""Every reason that ``parse_response`` gives."""

_TAG = re.compile(r"<(/?)(think|search|answer)>", re.IGNORECASE | re.ASCII)  # else a long ſ is an s
_PLURAL = {"search": "two searches", "answer": "two answers", "think": "two thinks"}


@dataclass(frozen=True, slots=True)
class _Mark:
    name: str
    closes: bool
    start: int
    end: int


def parse_response(response: str) -> Action | Invalid:
    """The action in ``response``, its case kept and its white space collapsed.

    Tags are case-insensitive. Exactly one ``<think>…</think>`` comes first, then exactly one action, which is not
    empty; what stands outside the tags is ignored. Reasoning that merely writes a closing ``</search>`` or
    ``</answer>`` hides nothing; one that opens an action is refused.
    """
    marks = [
        _Mark(match[2].lower(), bool(match[1]), *match.span())  # type: ignore[arg-type]
        for match in _TAG.finditer(response)
    ]
    thinks = [mark for mark in marks if mark.name == "think"]
    actions = [mark for mark in marks if mark.name != "think"]
    if not any(not mark.closes for mark in actions):
        return Invalid(_nothing_opened(actions, thinks))
    if reason := _unpaired(thinks, "think"):
        return Invalid(reason)
    began, ended = thinks
    if any(mark.start < began.start for mark in actions):
        return Invalid("think after action")
    if any(not mark.closes and mark.start < ended.start for mark in actions):
        return Invalid("tag inside a tag")
    return _action(response, [mark for mark in actions if mark.start > ended.start])


def read_action(action: str) -> tuple[Kind, str] | None:
    """What ``search[words]`` or ``answer[text]`` asks for; None for anything else. White space is collapsed."""
    text = " ".join(action.split())
    name, opened, rest = text.partition("[")
    kind = name.strip().lower()
    inner = rest.removesuffix("]").strip()
    if kind not in ("search", "answer") or not opened or not rest.endswith("]") or not inner:
        return None
    return kind, inner  # type: ignore[return-value]


def write_action(kind: Kind, text: str) -> str:
    """``search[words]`` or ``answer[text]``: what ``read_action`` reads."""
    return f"{kind}[{text}]"


def tagged(action: str) -> str:
    """An action as a response writes it, ``<search>words</search>``; anything else as it is."""
    move = read_action(action)
    return action if move is None else f"<{move[0]}>{move[1]}</{move[0]}>"


def _action(response: str, marks: list[_Mark]) -> Action | Invalid:
    """The action after the reasoning, of whose tags ``marks`` are all."""
    kinds = {mark.name for mark in marks}
    opened = [mark for mark in marks if not mark.closes]
    if len({mark.name for mark in opened}) == 2:
        return Invalid("tag inside a tag" if not marks[1].closes else "search and answer")
    kind = opened[0].name
    if reason := _unpaired([mark for mark in marks if mark.name == kind], kind):
        return Invalid(reason)
    if len(kinds) == 2:
        stray = next(mark for mark in marks if mark.name != kind)
        inside = opened[0].start < stray.start < marks[-1].start
        return Invalid("tag inside a tag" if inside else f"unopened {stray.name} tag")
    text = " ".join(response[marks[0].end : marks[1].start].split())
    if not text:
        return Invalid(f"empty {kind}")
    return Action(write_action(kind, text))  # type: ignore[arg-type]


def _nothing_opened(actions: list[_Mark], thinks: list[_Mark]) -> str:
    ends = [mark.end for mark in thinks if mark.closes]
    strays = [mark for mark in actions if not ends or mark.start > ends[-1]]
    return f"unopened {strays[0].name} tag" if strays else "no search or answer"


def _unpaired(marks: list[_Mark], name: str) -> str | None:
    """Why a tag does not stand there exactly once, or None."""
    if not marks:
        return f"no {name} tag"
    if all(not mark.closes for mark in marks):
        return f"unclosed {name} tag"
    if marks[0].closes:
        return f"unopened {name} tag"
    return _PLURAL[name] if len(marks) > 2 or not marks[1].closes else None
