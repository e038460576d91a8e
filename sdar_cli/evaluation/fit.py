"""A panel on which nothing was played is a mistake in the recipe, not a success of 0 %."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sdar_cli.errors import RecipeError, RunFailed
from sdar_cli.rollout.episode import Episode, StopReason
from sdar_cli.rollout.pool import SlotError

if TYPE_CHECKING:
    from sdar_cli.rollout.loop import RolloutLoop


def check_played(episodes: Sequence[Episode], loop: RolloutLoop) -> None:
    """
    Raises:
        RecipeError: not one first prompt fits ``rollout.max_prompt_tokens``; the sentence says how long the
            first of them is.
    """
    if any(episode.turns or episode.stop is not StopReason.CONTEXT_FULL for episode in episodes):
        return
    tokens = _first_prompt_tokens(episodes[0], loop)
    raise RecipeError(
        f"no task's first prompt fits rollout.max_prompt_tokens={loop.context.max_prompt_tokens} (that of "
        f"{episodes[0].task.id} takes {tokens}): raise it"
    )


def _first_prompt_tokens(episode: Episode, loop: RolloutLoop) -> int:
    """Tokens of an episode's first prompt without skills."""
    first = loop.pool.reset({0: episode.task})[0]
    loop.pool.release([0])
    if isinstance(first, SlotError):
        raise RunFailed(f"the environment failed to start task {episode.task.id} ({first.reason}): try again")
    context = replace(loop.context, max_prompt_tokens=sys.maxsize).seen_by(skills=False)
    return len(context.prompt(context.open(episode.task, first, "")).ids)
