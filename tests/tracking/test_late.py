"""What the store fails at while it takes others: put aside, kept, and tried again at the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sdar_cli.errors import RunFailed
from sdar_cli.tracking import sender as sender_module
from sdar_cli.tracking.late import Late
from sdar_cli.tracking.leftover import count
from sdar_cli.tracking.sender import TRIES, Sender
from sdar_cli.tracking.spool import Spool
from sdar_cli.tracking.wire import Verdict
from sdar_cli.tracking.write import Write

RUN = "ab" * 16


class Store:
    """Fails where ``fails`` says so."""

    def __init__(self) -> None:
        self.arrived: list[object] = []
        self.fails: Callable[[Write], bool] = lambda write: False

    def __call__(self, write: Write) -> None:
        if self.fails(write):
            raise ConnectionError("500 of a bug")
        self.arrived.append(write.content.get("step", write.content.get("value")))


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def said() -> list[str]:
    return []


def made(folder: Path, store: Store, said: list[str], verdict: Verdict = Verdict.FAILED) -> tuple[Spool, Sender]:
    spool = Spool(folder, RUN)
    return spool, Sender(spool, store, lambda error: verdict, "the-store", said.append, Late(spool))


def put_aside(spool: Spool, sender: Sender) -> None:
    write = spool.first()
    assert write is not None and sender._put_aside(write)
    spool.acknowledge(write.number)


def drain(sender: Sender) -> None:
    while sender.attempt() is not None:
        pass


def test_a_no_without_a_reason_is_believed_the_fifth_time(tmp_path: Path, store: Store, said: list[str]) -> None:
    spool, sender = made(tmp_path, store, said, Verdict.REFUSED)
    spool.metrics(1, {"a": 1.0})
    store.fails = lambda write: True
    assert all(sender.attempt() for _ in range(TRIES - 1)) and spool.waiting == 1
    store.fails = lambda write: False
    assert sender.attempt() == 0.0 and store.arrived == [1], "it was the store that was not well"
    spool.metrics(2, {"a": 1.0})
    store.fails = lambda write: True
    assert all(sender.attempt() for _ in range(TRIES - 1))
    assert sender.attempt() == 0.0 and spool.waiting == 0 and sender.refusals == 1
    assert any("refused metrics of step 2" in text for text in said)


def test_a_write_that_it_fails_at_for_ever_holds_up_no_other(tmp_path: Path, store: Store, said: list[str]) -> None:
    spool, sender = made(tmp_path, store, said)
    store.fails = lambda write: write.content["step"] in (2, 4)
    for step in range(1, 7):
        spool.metrics(step, {"a": 1.0})
    drain(sender)
    assert list(dict.fromkeys(store.arrived)) == [1, 3, 5, 6] and spool.waiting == 0 and sender.waiting == 2
    assert len([text for text in said if "put aside" in text]) == 1
    sender.start()
    assert sender.finish() == 2, "tried once more at the end"
    assert count(tmp_path) == 2
    store.fails = lambda write: False
    _, again = made(tmp_path, store, said)
    again.start()
    assert again.finish() == 0 and store.arrived[-2:] == [2, 4]
    assert count(tmp_path) == 0


def test_a_store_that_takes_nothing_puts_nothing_aside(tmp_path: Path, store: Store, said: list[str]) -> None:
    spool, sender = made(tmp_path, store, said)
    store.fails = lambda write: True
    for step in range(1, 4):
        spool.metrics(step, {"a": 1.0})
    for _ in range(3 * TRIES):
        sender.attempt()
    assert spool.waiting == 3 and not (tmp_path / "late").exists()


def test_what_was_replaced_meanwhile_is_not_sent_late(tmp_path: Path, store: Store, said: list[str]) -> None:
    """A tag's old value, put aside, does not come back over the new one."""
    spool, sender = made(tmp_path, store, said)
    store.fails = lambda write: write.content["value"] == "old"
    spool.put("tag", {"key": "a", "value": "old"}, key="tag/a")
    spool.put("tag", {"key": "b", "value": "other"}, key="tag/b")
    drain(sender)
    assert sender.waiting == 1
    spool.put("tag", {"key": "a", "value": "new"}, key="tag/a")
    drain(sender)
    store.fails = lambda write: False
    sender.start()
    assert sender.finish() == 0 and store.arrived[-1] == "new" and "old" not in store.arrived


def test_traces_put_aside_keep_their_episodes(tmp_path: Path, store: Store, said: list[str]) -> None:
    spool, sender = made(tmp_path, store, said)
    found: list[object] = []
    store.fails = lambda write: write.kind == "traces"
    spool.traces("traces/train/1", [{"a": 1}])
    spool.metrics(1, {"a": 1.0})
    drain(sender)
    assert not list((tmp_path / "traces").iterdir()) and len(list((tmp_path / "late" / "traces").iterdir())) == 1
    store.fails = lambda write: bool(found.append(write.content["traces"]))
    sender.start()
    assert sender.finish() == 0 and found == [[{"a": 1}]]


def test_what_is_closed_puts_nothing_aside(tmp_path: Path, store: Store, said: list[str]) -> None:
    """A try that comes back late, when the folder is another process's."""
    spool, sender = made(tmp_path, store, said)
    spool.metrics(1, {"a": 1.0})
    write = spool.first()
    assert write is not None and sender.finish(0.0) == 1
    assert not sender._put_aside(write) and not (tmp_path / "late").exists()


def test_what_is_wrong_for_good_does_not_wait_for_ever(tmp_path: Path, store: Store, said: list[str]) -> None:
    spool, sender = made(tmp_path, store, said, Verdict.WRONG)
    spool.metrics(1, {"a": 1.0})
    put_aside(spool, sender)
    store.fails = lambda write: True
    sender.start()
    assert sender.finish() == 0 and sender.refusals == 1 and count(tmp_path) == 0
    assert "refused metrics of step 1 (500 of a bug), and goes without it" in said[-1]


def test_a_disk_that_fails_behind_the_putting_aside_makes_no_copies(
    tmp_path: Path, store: Store, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spool, sender = made(tmp_path, store, said)
    spool.metrics(1, {"a": 1.0})
    write = spool.first()

    def full(self: Spool) -> None:
        raise RunFailed("the disk is full")

    assert write is not None
    with monkeypatch.context() as patch:
        patch.setattr(Spool, "sync", full)
        assert not any(sender._put_aside(write) for _ in range(3))
    put_aside(spool, sender)
    assert sender.waiting == 1


def test_weights_that_were_put_aside_get_the_time_of_weights(
    tmp_path: Path, store: Store, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender_module, "PATIENCE", 0.05)
    spool, sender = made(tmp_path, store, said)
    spool.put("version", {"name": "a"}, key="version/1", once=True)
    put_aside(spool, sender)
    sender._deliver = lambda write: time.sleep(0.8)
    sender.start()
    assert sender.finish() == 0


def test_what_is_put_aside_did_not_arrive(tmp_path: Path, store: Store, said: list[str]) -> None:
    """It is not among what is said to be flushed, and no reason to go on waiting at the end."""
    spool, sender = made(tmp_path, store, said)
    for step in range(1, 4):
        spool.metrics(step, {"a": 1.0})
    spool.put("tag", {"key": "a", "value": "b"}, key="tag/a")
    store.fails = lambda write: True
    for _ in range(TRIES):
        sender.attempt()
    store.fails = lambda write: write.kind == "metrics"
    drain(sender)
    assert spool.waiting == 0 and sender.waiting == 3
    assert said[-1] == "the MLflow store the-store is back: 1 writes flushed" and sender._arrived == 1
