"""Order, patience and bounds of the outbox."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sdar_cli.tracking.outbox import CAPACITY, PATIENCE, Outbox, one_line


class Refused(Exception):
    pass


def outbox(said: list[str]) -> Outbox:
    return Outbox("store", said.append, lambda error: isinstance(error, Refused))


class Store:
    """A store that is away for given attempts."""

    def __init__(self, away: set[int]) -> None:
        self.away, self.attempts, self.written = away, 0, []

    def write(self, number: int) -> None:
        self.attempts += 1
        if self.attempts in self.away:
            raise ConnectionError("away")
        self.written.append(number)


@given(st.sets(st.integers(1, 40), max_size=30), st.integers(1, 30))
def test_writes_arrive_in_order_and_once(away: set[int], count: int) -> None:
    said: list[str] = []
    store, box = Store(away), outbox(said)
    for number in range(count):
        box.put(f"write {number}", lambda number=number: store.write(number))
    store.away = set()
    box.close()
    assert store.written == list(range(count))
    assert box.dropped == 0 and len(said) <= 1


def test_a_lost_store_is_left_alone_until_the_end() -> None:
    said: list[str] = []
    store, box = Store(set(range(1, 10_000))), outbox(said)
    for number in range(50):
        box.put("metrics", lambda number=number: store.write(number))
    assert store.attempts == PATIENCE
    box.close()
    assert store.attempts == PATIENCE + 1
    assert "50 writes never reached the MLflow store store" in said[-1]


def test_a_refusal_is_said_and_does_not_block() -> None:
    said: list[str] = []
    store, box = Store(set()), outbox(said)

    def refuse() -> None:
        raise Refused("bad name")

    box.put("metric x", refuse)
    box.put("next", lambda: store.write(1))
    assert store.written == [1] and box.dropped == 1
    assert said == ["the MLflow store store refused metric x (bad name): report it as a bug of sdar"]


def test_what_waits_is_bounded() -> None:
    store, box = Store(set(range(1, PATIENCE + 1))), outbox([])
    for number in range(CAPACITY + 7):
        box.put("metrics", lambda number=number: store.write(number))
    box.close()
    assert store.written == list(range(7, CAPACITY + 7))


def test_an_error_fits_one_line() -> None:
    assert one_line(ValueError("a\n  b")) == "a b"
    assert one_line(ValueError()) == "ValueError"
    assert len(one_line(ValueError("x" * 500))) == 160
    assert one_line(ValueError("GET http://me:hush@host:5/a failed")) == "GET http://***@host:5/a failed"
