"""Episodes as rows: advantages, penalties, splits into updates and micro-batches."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdar_cli.objectives.advantages import EPSILON
from sdar_cli.rollout.episode import Episode, StopReason, Turn
from sdar_cli.training.rows import Row, make_rows, split_microbatches, split_updates
from sdar_envs.base import Task


def episode(group, reward, turns, invalid=(), stop=StopReason.MAX_TURNS):
    made = Episode(Task(f"t{group}", "type"), "", group, 0, stop=stop, reward=reward, won=reward > 0)
    made.turns = [
        Turn(k, [1, 2], None, [3, 4, 5], None, "", "", "a", "empty" if k in invalid else None, "", 0.0)
        for k in range(turns)
    ]
    return made


def values(rows):
    return [row.advantages[0] for row in rows]


def test_every_token_of_every_turn_carries_the_trajectorys_advantage():
    played = [episode(0, 10.0, 2), episode(0, 0.0, 3)]
    rows = make_rows(played, context="window", penalty=0.0, statistics="trajectory")
    a = 5.0 / (np.std([10.0, 0.0], ddof=1) + EPSILON)
    assert values(rows) == pytest.approx([a, a, -a, -a, -a])
    assert all(len(set(row.advantages)) == 1 and row.mask == [1, 1, 1] for row in rows)
    assert [row.turns[0] for row in rows] == [0, 1, 0, 1, 2]


def test_the_penalty_falls_on_the_invalid_turn_alone_in_advantage_units():
    played = [episode(0, 10.0, 2, invalid={1}), episode(0, 0.0, 1)]
    plain = values(make_rows(played, context="window", penalty=0.0, statistics="trajectory"))
    fined = values(make_rows(played, context="window", penalty=0.1, statistics="trajectory"))
    assert [a - b for a, b in zip(plain, fined, strict=True)] == pytest.approx([0.0, 0.1, 0.0])


def test_turn_statistics_are_over_penalised_turns():
    played = [episode(0, 1.0, 1), episode(0, 0.0, 3, invalid={0})]
    scores = np.array([1.0, -0.1, 0.0, 0.0])
    expected = (scores - scores.mean()) / (scores.std(ddof=1) + EPSILON)
    assert values(make_rows(played, context="window", penalty=0.1, statistics="turn")) == pytest.approx(expected)


def test_groups_do_not_mix_and_errors_are_never_trained_on():
    played = [
        episode(0, 10.0, 1),
        episode(0, 0.0, 1),
        episode(1, 10.0, 1),
        episode(1, 0.0, 1, stop=StopReason.ENVIRONMENT_ERROR),
    ]
    rows = make_rows(played, context="window", penalty=0.0, statistics="trajectory")
    assert [row.episode for row in rows] == [0, 1, 2]
    assert rows[2].advantages == [0.0] * 3  # its group has no other episode left: no signal


def row(tokens):
    return Row(0, [0] * (tokens - 1), None, [0], [1], [0.0], [0])


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
