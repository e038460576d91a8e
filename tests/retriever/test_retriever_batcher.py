"""Requests that wait together are searched together, and each gets its own answer."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from sdar_cli.retriever.batcher import Batcher
from sdar_cli.retriever.engine import Hit


class Announcing(list):
    """A waiting list that tells of every arrival."""

    def __init__(self, arrived: threading.Semaphore) -> None:
        super().__init__()
        self._arrived = arrived

    def append(self, item: object) -> None:
        super().append(item)
        self._arrived.release()


class Slow:
    """Holds every search until told; notes what each was asked."""

    def __init__(self, most: int = 100) -> None:
        self.asked: list[tuple[list[str], int]] = []
        self.begun = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.batcher = Batcher(self.search, most)

    def search(self, queries: list[str], topk: int) -> list[list[Hit]]:
        self.asked.append((queries, topk))
        self.begun.release()
        assert self.go.acquire(timeout=30)
        if "bad" in queries:
            raise ValueError("bad")
        return [[Hit(int(query), topk)] for query in queries]

    def ask_in_turn(self, pool: ThreadPoolExecutor, requests: list[tuple[list[str], int]]) -> list[Future]:
        """Submit requests, each once the one before it is searched (the first) or waits."""
        futures = [pool.submit(self.batcher.search, *requests[0])]
        assert self.begun.acquire(timeout=30)
        arrived = threading.Semaphore(0)
        self.batcher._waiting = Announcing(arrived)
        for request in requests[1:]:
            futures.append(pool.submit(self.batcher.search, *request))
            assert arrived.acquire(timeout=30)
        return futures


def hits(future: Future) -> list[int]:
    return [row[0].document for row in future.result(timeout=30)]


def test_what_comes_during_a_search_makes_the_next_one() -> None:
    slow = Slow()
    with ThreadPoolExecutor(20) as pool:
        requests = [([str(number), str(number + 100)], 3) for number in range(11)]
        futures = slow.ask_in_turn(pool, requests)
        slow.go.release(2)
        assert [hits(future) for future in futures] == [[number, number + 100] for number in range(11)]
    assert [len(queries) for queries, _ in slow.asked] == [2, 20]


def test_batches_are_bounded_and_of_one_topk() -> None:
    slow = Slow(most=4)
    with ThreadPoolExecutor(20) as pool:
        requests = [(["0"], 3), (["1", "2"], 3), (["3"], 5), (["4", "5"], 3), (list("6789") * 2, 3), (["10"], 5)]
        futures = slow.ask_in_turn(pool, requests)
        slow.go.release(10)
        assert [hits(future) for future in futures] == [[int(q) for q in queries] for queries, _ in requests]
        assert all(future.result()[0][0].score == topk for future, (_, topk) in zip(futures, requests, strict=True))
    assert sorted((len(queries), topk) for queries, topk in slow.asked) == [(1, 3), (2, 5), (4, 3), (8, 3)]


def test_an_error_is_everyones_and_does_not_last() -> None:
    slow = Slow()
    slow.go.release(10)
    with pytest.raises(ValueError):
        slow.batcher.search(["1", "bad"], 3)
    assert slow.batcher.search(["1"], 3) == [[Hit(1, 3)]]
