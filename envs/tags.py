"""Reading ``<think>…</think>`` and ``<action>…</action>`` out of a response.

Strict, and total: any string gives an ``Action`` or an ``Invalid`` whose reason is one of ``REASONS``, in
time linear in the length of the string.
"""

from __future__ import annotations

import re
from typing import Literal

from sdar_envs.base import Action, Invalid

Think = Literal["required", "optional"]

REASONS = (
    "no action tag",
    "two actions",
    "unclosed action tag",
    "unopened action tag",
    "empty action",
    "no think tag",
    "two thinks",
    "unclosed think tag",
    "unopened think tag",
    "think after action",
    "tag inside a tag",
)
"""Every reason that ``parse_tags`` gives, in the order in which it looks for them."""

_TAG = re.compile(r"<(/?)(think|action)>", re.IGNORECASE | re.ASCII)  # else a dotless ı is an i


def parse_tags(response: str, think: Think = "required") -> Action | Invalid:
    """The action in ``response``, lower-cased and with white space collapsed.

    Tags are case-insensitive. A response holds exactly one non-empty ``<action>…</action>`` and at most
    one ``<think>…</think>``, which stands before it (exactly one where ``think`` is ``required``); what
    stands outside the tags is ignored. Tags may not be nested.
    """
    marks: dict[str, list[tuple[int, int]]] = {"<think>": [], "</think>": [], "<action>": [], "</action>": []}
    for match in _TAG.finditer(response):
        marks[match.group().lower()].append(match.span())
    opened, closed = marks["<action>"], marks["</action>"]
    if reason := _unpaired(opened, closed, "action"):
        return Invalid(reason)
    start, end = opened[0][1], closed[0][0]
    text = " ".join(response[start:end].lower().split())
    if not text:
        return Invalid("empty action")
    thinks, unthinks = marks["<think>"], marks["</think>"]
    if think == "required" or thinks or unthinks:
        if reason := _unpaired(thinks, unthinks, "think"):
            return Invalid(reason)
        inside, beyond = thinks[0][1], unthinks[0][1]
        if inside >= closed[0][1]:
            return Invalid("think after action")
        if beyond > opened[0][0]:
            return Invalid("tag inside a tag")
    return Action(text)


def _unpaired(opened: list[tuple[int, int]], closed: list[tuple[int, int]], name: str) -> str | None:
    """Why a tag does not stand there exactly once, or None."""
    if not opened and not closed:
        return f"no {name} tag"
    if not closed:
        return f"unclosed {name} tag"
    if not opened or closed[0] < opened[0]:
        return f"unopened {name} tag"
    if len(opened) > 1 or len(closed) > 1:
        return f"two {name}s"
    return None
