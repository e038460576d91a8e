"""What an episode is in which a model said whatever it could."""

from __future__ import annotations

from collections.abc import Sequence

from garbage_speech import TURNS

from sdar_cli.rollout.episode import Episode, StopReason
from sdar_envs.search_qa.parsing import REASONS as SEARCH_REASONS
from sdar_envs.tags import REASONS as TAG_REASONS
from sdar_envs.webshop.actions import HIDDEN

REASONS = {*SEARCH_REASONS, *TAG_REASONS, HIDDEN, "not admissible"}


def check_episode(episode: Episode, klass: str, script: Sequence[str]) -> None:
    """The episode ended for a reason, and holds what was said as it was."""
    assert isinstance(episode.stop, StopReason) and episode.error is None, (klass, episode.error)
    assert episode.turns and len(episode.turns) <= TURNS
    for turn in episode.turns:
        assert turn.invalid is None or turn.invalid in REASONS, klass
        assert turn.truncated == (klass == "no end")
        turn.response.encode(), turn.observation.encode(), turn.prompt_text.encode()
        if klass != "special tokens":  # which the decoder leaves out
            assert turn.response == script[turn.index], klass
