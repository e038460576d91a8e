"""Updates and micro-batches over several ranks: an update's rows do not depend on who shares them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threaded_ranks import Ranks
from tiny_training import episodes

from sdar_cli.rollout.episode import Episode
from sdar_cli.training.rows import Row, make_rows
from sdar_cli.training.updates import plan_updates, row_keys


def plans(shares: list[list[Episode]], **about) -> list[tuple[list[Row], list, list]]:
    """For every rank: rows, keys, updates."""

    def work(rank: int, gather: Callable) -> tuple:
        rows = make_rows(shares[rank], "window")
        keys = row_keys(rows, shares[rank])
        return rows, keys, plan_updates(rows, keys, shuffle="0/0", gather=gather, **about)

    return Ranks(len(shares)).run(work)


def rows_of_updates(ranks: list[tuple]) -> list[set]:
    """The keys of every update, over all ranks."""
    updates = [set() for _ in ranks[0][2]]
    for _, keys, plan in ranks:
        for together, update in zip(updates, plan, strict=True):
            together |= {keys[i] for batch in update for i in batch}
    return updates


@given(
    st.integers(1, 5),
    st.integers(1, 3),
    st.one_of(st.none(), st.integers(1, 20)),
    st.sampled_from([10, 40, 10**6]),
    st.integers(0, 100),
)
@settings(max_examples=60, deadline=None)
def test_an_update_holds_the_same_rows_whatever_the_number_of_ranks(groups, world, size, budget, seed):
    played = episodes(0, 40, seed=seed, groups=groups)
    about = {"rows_per_update": size, "tokens_per_microbatch": budget}
    alone = plans([played], **about)
    shared = plans([[e for e in played if e.group % world == rank] for rank in range(world)], **about)
    assert rows_of_updates(shared) == rows_of_updates(alone)
    for update in zip(*(plan for _, _, plan in shared), strict=True):
        assert len({len(batches) for batches in update}) == 1, "as many micro-batches on every rank"
    for rows, _, plan in shared:
        assert sorted(i for update in plan for batch in update for i in batch) == list(range(len(rows)))


def test_updates_are_even_and_shuffled():
    ((rows, _, plan),) = plans([episodes(0, 40)], rows_per_update=4, tokens_per_microbatch=10**6)
    assert [sum(map(len, update)) for update in plan] == [4, 4, 4, 3] and len(rows) == 15
    assert [sorted(i for batch in update for i in batch) for update in plan] != [
        list(range(a, b)) for a, b in ((0, 4), (4, 8), (8, 12), (12, 15))
    ]


def test_one_update_takes_all_rows():
    ((rows, _, plan),) = plans([episodes(0, 40)], rows_per_update=None, tokens_per_microbatch=10**6)
    assert [len(batch) for update in plan for batch in update] == [len(rows)]


@pytest.mark.parametrize("size", [None, 4])
def test_a_rank_without_rows_keeps_in_step(size):
    (_, _, first), (_, _, second) = plans([episodes(0, 40), []], rows_per_update=size, tokens_per_microbatch=60)
    assert [len(update) for update in first] == [len(update) for update in second]
    assert all(batch == [] for update in second for batch in update)


def test_no_row_anywhere_is_no_update():
    assert [plan for *_, plan in plans([[], []], rows_per_update=4, tokens_per_microbatch=60)] == [[], []]
