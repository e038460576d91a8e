"""Which episodes are traced, and under which names."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sdar_cli.rollout.episode import Episode
from sdar_cli.tracking.traces import NAME_LIMIT, build_trace, choose
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


def test_names_and_tags_hide_nothing() -> None:
    """A task's type and id are an environment's words: on MLflow's page they neither turn the line nor vanish."""
    task = Task("t\u202e1\0", "cl\u200bean\n\x1b[2J" + "x" * 999)
    trace = build_trace(Episode(task, "goal \u2066\ud800", 0, 0), run="ab" * 16, step=3, mode="train")
    root, tags = trace["spans"][0], trace["info"]["tags"]
    assert root["name"] == tags["mlflow.traceName"]
    assert root["name"].startswith("train · step 3 · cl⟨U+200B⟩ean ⟨U+001B⟩[2Jxxx") and len(root["name"]) == NAME_LIMIT
    assert tags["task_id"] == "t⟨U+202E⟩1⟨U+0000⟩"
    assert trace["info"]["request_preview"] == "goal ⟨U+2066⟩⟨U+D800⟩"
