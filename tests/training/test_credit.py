"""From episodes to the advantage of every token: penalties, groups, contexts, ranks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from threaded_ranks import Ranks
from tiny_training import episodes

from sdar_cli.objectives.advantages import EPSILON
from sdar_cli.objectives.registry import OBJECTIVES
from sdar_cli.objectives.settings import Settings
from sdar_cli.rollout.episode import Episode, StopReason, Turn
from sdar_cli.training.credit import assign_advantages
from sdar_cli.training.rows import Row, make_rows
from sdar_envs.base import Task


def episode(group, reward, turns, invalid=(), stop=StopReason.MAX_TURNS, length=3) -> Episode:
    made = Episode(Task(f"t{group}", "type"), "", group, 0, stop=stop, reward=reward, won=reward > 0)
    for k in range(turns):
        before = made.turns[-1].prompt_ids + made.turns[-1].response_ids if k else []
        why = "empty" if k in invalid else None
        made.turns.append(Turn(k, [*before, 1, 2], None, [3] * length, None, "", "", "a", why, "", 0.0))
    return made


def credited(played, method="grpo", context="window", penalty=0.0, scores=None, **settings) -> list[Row]:
    rows = make_rows(played, context)
    about = {"penalty": penalty, "scores": scores(rows) if scores else {}}
    assign_advantages(rows, played, OBJECTIVES[method], Settings(**settings), **about)
    return rows


def values(rows) -> list[float]:
    return [row.advantages[0] for row in rows]


def test_every_token_of_every_turn_carries_the_trajectorys_advantage():
    rows = credited([episode(0, 10.0, 2), episode(0, 0.0, 3)])
    a = 5.0 / (np.std([10.0, 0.0], ddof=1) + EPSILON)
    assert values(rows) == pytest.approx([a, a, -a, -a, -a])
    assert all(len(set(row.advantages)) == 1 for row in rows)


def test_the_penalty_falls_on_the_invalid_turn_alone_in_advantage_units():
    played = [episode(0, 10.0, 2, invalid={1}), episode(0, 0.0, 1)]
    plain, fined = values(credited(played)), values(credited(played, penalty=0.1))
    assert [a - b for a, b in zip(plain, fined, strict=True)] == pytest.approx([0.0, 0.1, 0.0])


def test_turn_statistics_are_over_penalised_turns():
    played = [episode(0, 1.0, 1), episode(0, 0.0, 3, invalid={0})]
    scores = np.array([1.0, -0.1, 0.0, 0.0])
    expected = (scores - scores.mean()) / (scores.std(ddof=1) + EPSILON)
    assert values(credited(played, penalty=0.1, statistics="turn")) == pytest.approx(expected)


def test_groups_do_not_mix_and_errors_are_never_counted():
    played = [
        episode(0, 10.0, 1),
        episode(0, 0.0, 1),
        episode(1, 10.0, 1),
        episode(1, 0.0, 1, stop=StopReason.ENVIRONMENT_ERROR),
    ]
    rows = credited(played)
    assert [row.episode for row in rows] == [0, 1, 2]
    assert rows[2].advantages == [0.0] * 3  # its group has no other episode left: no signal


def test_an_episode_that_said_nothing_counts_in_its_group_all_the_same():
    rows = credited([episode(0, 10.0, 1), episode(0, 0.0, 1, length=0)])
    assert [row.episode for row in rows] == [0] and rows[0].advantages[0] > 0


@pytest.mark.parametrize("method", sorted(OBJECTIVES))
def test_full_context_gives_each_token_what_windowed_context_does(method):
    """And nothing to the environment's text between them."""
    played = episodes(0, 40, context="full")
    draw = torch.Generator().manual_seed(0)
    per_token = {
        (e, turn.index): {
            name: -torch.rand(len(turn.response_ids), generator=draw) for name in ("old", "teacher", "ref")
        }
        for e, ep in enumerate(played)
        for turn in ep.turns
    }

    def scores(rows):
        out = {}
        for name in ("old", "teacher", "ref"):
            out[f"{name}_logps"] = []
            for row in rows:
                vector, seen = torch.full((len(row.mask),), -99.0), {}
                for i, (m, turn) in enumerate(zip(row.mask, row.turns, strict=True)):
                    if m:
                        k = seen[turn] = seen.get(turn, -1) + 1
                        vector[i] = per_token[row.episode, turn][name][k]
                out[f"{name}_logps"].append(vector)
        return out

    found = {}
    for context in ("window", "full"):
        rows = credited(played, method, context, penalty=0.1, scores=scores)
        assert all(a == 0.0 for row in rows for a, m in zip(row.advantages, row.mask, strict=True) if not m)
        found[context] = [a for row in rows for a, m in zip(row.advantages, row.mask, strict=True) if m]
    assert found["window"] == found["full"]
    assert (len(set(found["full"])) > 2) is (method != "opsd")


def test_opsd_has_no_advantages_and_no_fines():
    rows = credited([episode(0, 10.0, 1, invalid={0}), episode(0, 0.0, 1)], "opsd", penalty=0.1)
    assert values(rows) == [0.0, 0.0]


@pytest.mark.parametrize("method", ["grpo", "reinforce"])
@pytest.mark.parametrize("shares", [[[0, 2], [1]], [[1], [0, 2]], [[0, 1, 2], []], [[], [0, 1, 2]]])
def test_ranks_that_share_the_groups_find_what_one_process_finds(method, shares):
    played = [episode(g, reward, 1) for g in range(3) for reward in (float(g), 7.0, 0.0)]
    alone = dict(enumerate(values(credited(played, method))))

    def credit_share(rank, gather):
        numbers = [i for i, e in enumerate(played) if e.group in shares[rank]]
        own = [played[i] for i in numbers]
        rows = make_rows(own, "window")
        about = {"penalty": 0.0, "scores": {}, "gather": gather, "rank": rank}
        assign_advantages(rows, own, OBJECTIVES[method], Settings(), **about)
        return dict(zip(numbers, values(rows), strict=True))

    for found in Ranks(2).run(credit_share):
        assert found == pytest.approx({i: alone[i] for i in found})
