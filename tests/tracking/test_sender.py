"""How the sender's thread speaks, waits and ends; the store is a function."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sdar_cli.tracking import sender as sender_module
from sdar_cli.tracking.late import Late
from sdar_cli.tracking.sender import FAILURES, LONGEST, Sender
from sdar_cli.tracking.spool import Spool
from sdar_cli.tracking.wire import Verdict, one_line
from sdar_cli.tracking.write import Write

DEADLINE = 60.0
RUN = "ab" * 16


class Refused(Exception):
    pass


def judge(error: Exception) -> Verdict:
    return Verdict.WRONG if isinstance(error, Refused) else Verdict.FAILED


class Store:
    """Raises ``error`` while there is one; waits for ``gate`` before each write."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.arrived: list[int] = []
        self.tries = 0

    def __call__(self, write: Write) -> None:
        self.tries += 1
        self.gate.wait(DEADLINE)
        if self.error is not None:
            raise self.error
        self.arrived.append(write.content["step"])


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def made(tmp_path: Path, store: Store, said: list[str]) -> tuple[Spool, Sender]:
    spool = Spool(tmp_path, RUN)
    return spool, Sender(spool, store, judge, "the-store", said.append, Late(spool))


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def test_the_wait_grows_to_half_a_minute_and_for_ever(made, store: Store, said: list[str]) -> None:
    spool, sender = made
    spool.metrics(1, {"a": 1.0})
    store.error = ConnectionError("no route to http://me:hush@host/")
    waits = [sender.attempt() for _ in range(40)]
    assert waits[:7] == [1, 2, 4, 8, 16, LONGEST, LONGEST] and set(waits[7:]) == {LONGEST}
    assert spool.waiting == 1, "never given up"
    store.error = None
    assert sender.attempt() == 0 and sender.attempt() is None and spool.waiting == 0
    spool.metrics(2, {"a": 1.0})
    store.error = ConnectionError()
    assert sender.attempt() == 1, "it starts small again"


def test_away_and_back_are_said_once(made, store: Store, said: list[str]) -> None:
    spool, sender = made
    for step in range(1, 8):
        spool.metrics(step, {"a": 1.0})
    store.error = ConnectionError("no route to http://me:hush@host/")
    for _ in range(FAILURES - 1):
        sender.attempt()
    assert said == [], "a stumble is not worth a word"
    for _ in range(9):
        sender.attempt()
    assert said == [
        "the MLflow store the-store takes no writes (no route to http://***@host/): the run goes on, and they wait in "
        f"{spool.folder}"
    ]
    store.error = None
    while sender.attempt() is not None:
        pass
    assert said[1:] == ["the MLflow store the-store is back: 7 writes flushed"]
    spool.metrics(9, {"a": 1.0})
    sender.attempt()
    assert len(said) == 2 and store.arrived == [*range(1, 8), 9]


def test_what_is_refused_is_left_out_and_said_once_a_kind(made, store: Store, said: list[str]) -> None:
    spool, sender = made
    for step in (1, 2):
        spool.metrics(step, {"a": 1.0})
    store.error = Refused("bad name")
    assert [sender.attempt() for _ in range(3)] == [0, 0, None]
    assert said == [
        "the MLflow store the-store refused metrics of step 1 (bad name), and goes without it: report it as a bug of "
        "sdar"
    ]
    assert sender.refusals == 2


def test_the_thread_sends_while_others_work(made, store: Store) -> None:
    spool, sender = made
    sender.start()
    for step in range(1, 30):
        spool.metrics(step, {"a": 1.0})
        sender.wake()
    wait_for(lambda: not spool.waiting)
    assert sender.finish() == 0 and store.arrived == list(range(1, 30))
    assert not sender._thread.is_alive()


def test_a_store_that_says_nothing_holds_nobody_up(made, store: Store, tmp_path: Path) -> None:
    spool, sender = made
    store.gate.clear()
    sender.start()
    began = time.monotonic()
    for step in range(1, 200):
        spool.metrics(step, {"a": 1.0})
        sender.wake()
    left = sender.finish(0.05)
    assert left == 199 and time.monotonic() - began < DEADLINE / 2
    store.gate.set()
    sender._thread.join(DEADLINE)
    assert store.arrived == [1], "what it took at last is sent again by the next, and falls on itself"
    assert Spool(tmp_path, RUN).waiting == 199


def test_the_end_tries_at_once_and_leaves_a_dead_store(made, store: Store, said: list[str]) -> None:
    spool, sender = made
    store.error = ConnectionError("refused")
    spool.metrics(1, {"a": 1.0})
    sender.start()
    wait_for(lambda: len(said) == 1)
    tries = store.tries
    began = time.monotonic()
    assert sender.finish() == 1
    assert store.tries >= tries + 2 and time.monotonic() - began < sender_module.PATIENCE
    tries = store.tries
    assert sender.finish() == 1 and store.tries == tries, "a second end waits for nothing"


def test_a_disk_that_cannot_be_read_now_ends_no_thread(
    made, store: Store, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spool, sender = made
    spool.metrics(1, {"a": 1.0})

    def broken() -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(spool, "first", broken)
        assert [sender.attempt() for _ in range(3)] == [1, 2, 4]
    assert "Input/output error" in said[0]
    assert sender.attempt() == 0 and store.arrived == [1]


def test_the_end_waits_while_writes_arrive(
    made, store: Store, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each within the patience, all of them far beyond it."""
    monkeypatch.setattr(sender_module, "PATIENCE", 1.0)
    monkeypatch.setattr(sender_module, "SPEAKS", 0.2)
    spool, sender = made
    for step in range(1, 16):
        spool.metrics(step, {"a": 1.0})
    take = store.__call__
    sender._deliver = lambda write: (time.sleep(0.1), take(write))
    sender.start()
    assert sender.finish() == 0 and len(store.arrived) == 15
    assert any("writes are still on their way to the MLflow store the-store" in text for text in said)


def test_the_end_leaves_a_silent_store_after_its_patience(made, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender_module, "PATIENCE", 0.1)
    spool, sender = made
    spool.metrics(1, {"a": 1.0})
    store.gate.clear()
    sender.start()
    assert sender.finish() == 1
    store.gate.set()


def test_an_error_fits_one_line() -> None:
    assert one_line(ValueError("a\n  b")) == "a b"
    assert one_line(ValueError()) == "ValueError"
    assert len(one_line(ValueError("x" * 500))) == 160
    assert one_line(ValueError("GET http://me:hush@host:5/a failed")) == "GET http://***@host:5/a failed"
    assert one_line(ValueError("GET http://host/?token=hush failed")) == "GET http://host/?token=*** failed"
