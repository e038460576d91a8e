"""The text that skills add to a prompt, and where it goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from sdar_cli.errors import SkillError
from sdar_cli.skills.retrieval import Retrieval

if TYPE_CHECKING:
    from sdar_envs.base import Message

INTRODUCTION = "Skills:"


def render_block(retrieval: Retrieval) -> str:
    """A line of introduction, then the skills' texts, parted by empty lines; '' when there are none."""
    if not retrieval.skills:
        return ""
    bodies = "\n\n".join(skill.body for skill in retrieval.skills)
    return f"{INTRODUCTION}\n{bodies}"


def insert_block(
    messages: Sequence[Message], block: str, placement: Literal["user", "system"] = "user"
) -> list[Message]:
    """A copy of ``messages`` with ``block`` in it; an empty block changes nothing.

    ``user``: in front of the first user message, parted by an empty line. ``system``: at the end of the
    system message, or as a new one. Raises SkillError when there is no user message to put it in.
    """
    copy = [dict(message) for message in messages]
    if not block:
        return copy
    if placement == "system":
        if copy and copy[0]["role"] == "system":
            copy[0]["content"] = f"{copy[0]['content']}\n\n{block}"
            return copy
        return [{"role": "system", "content": block}, *copy]
    for message in copy:
        if message["role"] == "user":
            message["content"] = f"{block}\n\n{message['content']}"
            return copy
    raise SkillError("the prompt has no user message to put the skills in: set skills.placement to system")
