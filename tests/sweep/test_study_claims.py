"""Claims hold however claimants are interleaved and killed.

1. No two claimants play a run at once, unless one was taken for lost while it lived.
2. A run is done once, never twice, even then.
3. While one claimant lives, the run gets done.
"""

from __future__ import annotations

from itertools import combinations

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from interleaved import World

from sdar_cli.sweep.claims import Ledger, by_run, standing
from sdar_cli.sweep.processes import Claimant


def holds(world: World) -> None:
    assert world.failures == []
    states = [entry.attempt.state for entry in world.entries()]
    assert states.count("done") <= 1
    if not world.impatient:
        assert world.together == 0
    if len(world.dead) < len(world.dies):
        assert standing(world.entries()) == "done"


def test_two_claimants_in_every_order() -> None:
    calls = 6
    for places in combinations(range(2 * calls), calls):
        world = World([0 if place in places else 1 for place in range(2 * calls)], [None, None])
        world.play()
        holds(world)


@pytest.mark.parametrize("dies", range(1, 8))
def test_one_of_two_killed_at_each_call(dies: int) -> None:
    calls = 5
    for places in combinations(range(2 * calls), calls):
        world = World([0 if place in places else 1 for place in range(2 * calls)], [dies, None])
        world.play()
        holds(world)


@settings(max_examples=250)
@given(
    schedule=st.lists(st.integers(0, 3), max_size=60),
    dies=st.lists(st.none() | st.integers(1, 12), min_size=2, max_size=4),
    impatient=st.booleans(),
)
def test_claimants_in_any_order_killed_at_any_call(schedule, dies, impatient) -> None:
    world = World(schedule, dies, impatient=impatient and all(one is not None for one in dies[1:]))
    world.play()
    holds(world)


@pytest.fixture
def ledger() -> Ledger:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.InMemoryStorage()
    return Ledger(storage, storage.create_new_study([optuna.study.StudyDirection.MAXIMIZE], "runs"))


def who(name: str) -> Claimant:
    return Claimant(name, "host", "machine", 1, 1)


def states(ledger: Ledger) -> list[str]:
    return [entry.attempt.state for entry in ledger.entries()]


def test_the_second_claim_withdraws(ledger: Ledger) -> None:
    assert ledger.claim(0, 1, who("a")) is not None
    assert ledger.claim(0, 1, who("b")) is None
    assert ledger.claim(0, 2, who("b")) is not None
    assert states(ledger) == ["running", "duplicate", "running"]
    assert sorted(by_run(ledger.entries())) == [(0, 1), (0, 2)]


def test_an_attempt_ends_once(ledger: Ledger) -> None:
    entry = ledger.claim(0, 0, who("a"))
    assert ledger.finish(entry, "lost", reason="its worker was lost")
    assert not ledger.finish(entry, "done", result={"success": 1.0}, value=1.0)
    attempt = ledger.entries()[0].attempt
    assert (attempt.state, attempt.reason, attempt.result) == ("lost", "its worker was lost", {})


def test_of_two_ends_at_once_the_last_write_decides_with_its_own_reason(ledger: Ledger) -> None:
    """Both have written their reason when one ends it."""
    entry = ledger.claim(0, 0, who("a"))
    ledger._storage.set_trial_user_attr(entry.trial, "reason lost", "its worker was lost")
    assert ledger.finish(entry, "failed", reason="no memory")
    attempt = ledger.entries()[0].attempt
    assert (attempt.state, attempt.reason) == ("failed", "no memory")


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ([], "waiting"),
        (["done"], "done"),
        (["failed"], "failed"),
        (["lost"], "lost"),
        (["stopped"], "stopped"),
        (["pruned"], "pruned"),
        (["lost", "stopped", "failed"], "failed"),
        (["lost", "done"], "done"),
    ],
)
def test_where_a_run_stands_follows_from_its_attempts(ledger: Ledger, ends: list[str], expected: str) -> None:
    for end in ends:
        storage, study = ledger._storage, ledger._study
        entry = Ledger(storage, study).claim(0, 0, who("a"))
        value, result = (1.0, {"success": 1.0}) if end == "done" else (None, None)
        assert ledger.finish(entry, end, value=value, result=result)
    entries = ledger.entries()
    assert standing(entries) == expected
    claimed = ledger.claim(0, 0, who("b"))
    assert (claimed is not None) == (expected in ("waiting", "lost", "stopped"))


def test_a_forgiven_failure_can_be_claimed_and_a_later_one_not(ledger: Ledger) -> None:
    ledger.finish(ledger.claim(0, 0, who("a")), "failed", reason="no memory")
    assert ledger.claim(0, 0, who("a")) is None
    again = ledger.claim(0, 0, who("a"), forgiven=lambda: frozenset({0}))
    assert again is not None
    ledger.finish(again, "failed", reason="no memory")
    assert standing(ledger.entries(), frozenset({0})) == "failed"


def test_a_claim_that_the_storage_wrote_twice_is_one(ledger: Ledger) -> None:
    """As when a connection breaks after the commit, and the storage tries again."""

    class Twice:
        def __init__(self, storage) -> None:
            self._storage = storage

        def __getattr__(self, name: str):
            return getattr(self._storage, name)

        def create_new_trial(self, study, template_trial):
            self._storage.create_new_trial(study, template_trial=template_trial)
            return self._storage.create_new_trial(study, template_trial=template_trial)

    claimed = Ledger(Twice(ledger._storage), ledger._study).claim(0, 0, who("a"))
    assert claimed is not None
    assert states(ledger) == ["running", "duplicate"]
