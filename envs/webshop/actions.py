"""Reading actions: ``search[words]`` and ``click[label]``."""

from __future__ import annotations

import re
from dataclasses import dataclass

HIDDEN = "hidden command"
"""Why a response is invalid that searches by one of upstream's hidden commands."""

_ACTION = re.compile(r"(search|click)\[(.+)\]", re.DOTALL)
_LOOSE = re.compile(r"(search|click) ?\[(.+)\]", re.DOTALL)
_COMMAND = re.compile(r"\s*<\s*[a-z]\s*>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Search:
    words: str


@dataclass(frozen=True, slots=True)
class Click:
    label: str
    """Lower-cased, white space collapsed."""


def read_action(text: str, *, loose: bool = False) -> Search | Click | None:
    """The action that ``text`` begins with, or None.

    What follows the last ``]`` is ignored, and a search with a ``[`` in its words is none, as upstream reads
    them. ``loose`` allows a space before the bracket: a model whose tokens are words parts them.
    """
    found = (_LOOSE if loose else _ACTION).match(text.strip().lower())
    if found is None:
        return None
    argument = " ".join(found[2].split())
    if not argument:
        return None
    if found[1] == "click":
        return Click(argument)
    return None if "[" in argument else Search(argument)


def is_hidden(words: str) -> bool:
    """Whether a search begins with a hidden command.

    Upstream's server answers ``<r>`` (random products), ``<a>``, ``<c>`` and ``<q>`` (all products of an
    attribute, a category, a query) instead of searching: a way to the reward without shopping. Any single letter
    in angle brackets is refused.
    """
    return _COMMAND.match(words) is not None


def written(action: Search | Click) -> str:
    """The action as it is sent: ``search[red shoes]``."""
    return f"search[{action.words}]" if isinstance(action, Search) else f"click[{action.label}]"
