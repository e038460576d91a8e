"""Episodes as rows: what is masked, what is left out, how rows become micro-batches."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_training import SKILLS_IDS, episodes

from sdar_cli.errors import UserError
from sdar_cli.rollout.episode import Episode, StopReason, Turn
from sdar_cli.training.rows import Row, make_rows, split_microbatches, split_updates
from sdar_envs.base import Task


def episode(prompts: list[list[int]], responses: list[list[int]], stop=StopReason.MAX_TURNS) -> Episode:
    made = Episode(Task("t", "type"), "", 0, 0, stop=stop)
    made.turns = [
        Turn(k, prompt, SKILLS_IDS + prompt, response, [-0.5] * len(response), "", "", "a", None, "", 0.0)
        for k, (prompt, response) in enumerate(zip(prompts, responses, strict=True))
    ]
    return made


def test_a_turn_is_a_row_under_windowed_context():
    rows = make_rows([episode([[1, 2], [3]], [[4, 5, 6], [7]])], "window")
    assert [(row.prompt_ids, row.completion_ids, row.mask, row.turns) for row in rows] == [
        ([1, 2], [4, 5, 6], [1, 1, 1], [0, 0, 0]),
        ([3], [7], [1], [1]),
    ]
    assert [row.teacher_prompt_ids for row in rows] == [[*SKILLS_IDS, 1, 2], [*SKILLS_IDS, 3]]
    assert [row.advantages for row in rows] == [[0.0] * 3, [0.0]], "credit comes later"


def test_a_trajectory_is_a_row_under_full_context_with_the_environments_text_masked():
    (row,) = make_rows([episode([[1, 2], [1, 2, 4, 5, 8, 9]], [[4, 5], [7]])], "full")
    assert row.prompt_ids == [1, 2] and row.teacher_prompt_ids == [*SKILLS_IDS, 1, 2]
    assert row.completion_ids == [4, 5, 8, 9, 7]
    assert row.mask == [1, 1, 0, 0, 1]
    assert [turn for turn, m in zip(row.turns, row.mask, strict=True) if m] == [0, 0, 1]
    assert [p for p, m in zip(row.sampler_logprobs, row.mask, strict=True) if m] == [-0.5] * 3


def test_both_contexts_hold_the_same_response_tokens():
    played = episodes(0, 40, context="full")
    tokens = {}
    for context in ("window", "full"):
        tokens[context] = [
            (row.episode, turn, token)
            for row in make_rows(played, context)
            for turn, token, m in zip(row.turns, row.completion_ids, row.mask, strict=True)
            if m
        ]
    assert tokens["window"] == tokens["full"] and tokens["full"]


def test_a_conversation_that_does_not_go_on_is_refused_under_full_context():
    """A recording made under windowed context, replayed under the other."""
    played = episodes(0, 40)
    make_rows(played, "window")
    with pytest.raises(
        UserError, match=r"does not continue the turn before it.*: set rollout\.context=window"
    ) as caught:
        make_rows(played, "full")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("context", ["window", "full"])
def test_a_turn_without_a_response_token_makes_no_row(context):
    silent = episode([[1]], [[]])
    spoke = episode([[1]], [[2]])
    assert [row.episode for row in make_rows([silent, spoke], context)] == [1]


@pytest.mark.parametrize("context", ["window", "full"])
def test_what_the_environment_lost_is_never_trained_on(context):
    played = [episode([[1]], [[2]]), episode([[1]], [[2]], stop=StopReason.ENVIRONMENT_ERROR), episode([], [])]
    assert [row.episode for row in make_rows(played, context)] == [0]


def row(tokens: int) -> Row:
    return Row(0, [0] * (tokens - 1), None, [0], [1], [0.0], [0])


def test_the_longer_of_the_two_prompts_counts():
    assert Row(0, [0] * 3, [0] * 7, [0] * 2, [1, 1], [0.0] * 2, [0] * 2).tokens == 9


@given(st.integers(0, 300), st.integers(1, 64))
def test_updates_cover_every_row_once_and_are_even(count, size):
    parts = split_updates([row(2)] * count, size)
    assert [i for part in parts for i in part] == list(range(count))
    assert all(0 < len(part) <= size for part in parts)
    assert not parts or max(map(len, parts)) - min(map(len, parts)) <= 1


@given(st.lists(st.integers(2, 200), min_size=1, max_size=80), st.integers(1, 600))
def test_micro_batches_stay_within_the_budget(lengths, budget):
    rows = [row(n) for n in lengths]
    batches = split_microbatches(rows, range(len(rows)), budget)
    assert sorted(i for batch in batches for i in batch) == list(range(len(rows)))
    for batch in batches:
        padded = max(lengths[i] for i in batch) * len(batch)
        assert padded <= budget or len(batch) == 1
