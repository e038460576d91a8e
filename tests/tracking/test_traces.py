"""Which episodes are traced."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sdar_cli.rollout.episode import Episode
from sdar_cli.tracking.traces import choose
from sdar_envs.base import Task


@given(st.lists(st.booleans(), max_size=30), st.integers(0, 10))
def test_the_chosen_show_both_outcomes(outcomes: list[bool], limit: int) -> None:
    episodes = [Episode(Task(f"t{i}", "a"), "", i, 0, won=won) for i, won in enumerate(outcomes)]
    chosen = choose(episodes, limit)
    assert len(chosen) == min(limit, len(outcomes)) == len(set(chosen))
    assert chosen == sorted(chosen)
    if limit >= 2 and len(set(outcomes)) == 2:
        assert {outcomes[i] for i in chosen} == {True, False}
    assert choose(episodes, None) == list(range(len(episodes)))
