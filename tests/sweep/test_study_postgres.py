"""The same protocol in Postgres: claims, kills, beats, a study for several machines."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest
from interleaved import World
from postgres_server import programs, server
from study_tools import check_whole, outcomes, spec_of
from test_study_claims import holds
from worker_nursery import Nursery, alive

from sdar_cli.errors import StudyError
from sdar_cli.sweep.processes import Claimant
from sdar_cli.sweep.storage import open_storage
from sdar_cli.sweep.store import StudyStore

pytest.importorskip("psycopg", reason="the postgres extra is not installed")
THREE = ["distill.coef=0.1,0.2,0.3"]
pytestmark = pytest.mark.skipif(programs() is None, reason="Postgres is not installed")


@pytest.fixture(scope="module")
def url():
    with server() as url:
        yield url


@pytest.mark.long
def test_two_of_four_workers_killed_four_times_over(url: str, tmp_path: Path) -> None:
    draw = random.Random(3)
    with Nursery(tmp_path) as nursery:
        quiet = StudyStore.create(spec_of("quiet", THREE, seeds="2"), tmp_path / "quiet", url)
        start = lambda store: nursery.start(store.folder, store.root, storage=url, poll=0.1)  # noqa: E731
        assert nursery.wait([start(quiet) for _ in range(2)]) == ["over"] * 2
        store = StudyStore.create(spec_of("killed", THREE, seeds="2"), tmp_path / "killed", url)
        workers = [start(store) for _ in range(4)]
        for _ in range(4):
            time.sleep(draw.uniform(0.1, 0.8))
            for pid in draw.sample(workers, 2):
                if alive(pid):
                    os.kill(pid, signal.SIGKILL)
                workers.remove(pid)
                workers.append(start(store))
        assert nursery.wait(workers) == ["over"] * 4
    check_whole(store)
    assert outcomes(store) == outcomes(quiet)


def test_claimants_at_once_agree(url: str, tmp_path: Path) -> None:
    """Each with a connection of its own, and no order but the database's."""
    store = StudyStore.create(spec_of("race", ["distill.coef=0.1,0.2"], seeds="2"), tmp_path, url)
    stores = [StudyStore.open("race", tmp_path, url) for _ in range(4)]
    won: list[int] = []

    def claim(number: int) -> None:
        params = store.spec.suggest(0)
        trial = stores[number].cells.draw(0, params)
        assert trial.number == store.cells.all()[0].number
        if stores[number].ledger.claim(0, 0, Claimant.here()) is not None:
            won.append(number)

    for _ in range(5):
        threads = [threading.Thread(target=claim, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        entries = store.ledger.entries()
        live = [entry for entry in entries if entry.is_live]
        assert len(live) == len(won) <= 1
        if live:
            assert store.ledger.finish(live[0], "stopped", reason="again")
        won.clear()


@pytest.mark.parametrize("seed", range(6))
def test_claimants_in_any_order_killed_at_any_call(url: str, tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    dies = [draw.choice([None, draw.randint(1, 12)]) for _ in range(3)]
    world = World([draw.randrange(3) for _ in range(60)], dies, open_storage(tmp_path, url))
    world.play()
    holds(world)


def test_beats_are_seen_by_another_connection(url: str, tmp_path: Path) -> None:
    first = StudyStore.create(spec_of("beats", ["distill.coef=0.1,0.2"], seeds="2"), tmp_path / "one", url)
    second = StudyStore.open("beats", tmp_path / "two", url)
    first.cells.draw(0, first.spec.suggest(0))
    entry = first.ledger.claim(0, 0, Claimant("far-1", "far", "another machine", 1, 1))
    assert [second.beats.read(second.ledger.entries()[0]) for _ in range(2)] == [0, 0]
    assert first.beats.write(entry, 7)
    assert second.beats.read(second.ledger.entries()[0]) == 7
    assert second.spec == first.spec


def test_a_server_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(
        StudyError, match=r"the storage postgresql://\*\*\*@/x\?host=.* cannot be used \(.*\): start the"
    ):
        open_storage(tmp_path, f"postgresql://me:secret@/x?host={tmp_path}")
