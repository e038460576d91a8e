"""Threads that stand for the processes of a distributed run, with a ``gather`` among them."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Ranks:
    """``gather`` among threads that stand for processes."""

    def __init__(self, world: int) -> None:
        self.world = world
        self.barrier = threading.Barrier(world)
        self.slots: list[list] = [[] for _ in range(world)]

    def run(self, work: Callable[[int, Callable], object]) -> list:
        out: list = [None] * self.world
        failed: list[BaseException] = []

        def body(rank: int) -> None:
            def gather(own: list) -> list:
                self.slots[rank] = own
                self.barrier.wait(timeout=20)
                everyone = [item for share in self.slots for item in share]
                self.barrier.wait(timeout=20)
                return everyone

            try:
                out[rank] = work(rank, gather)
            except BaseException as error:
                failed.append(error)
                self.barrier.abort()

        threads = [threading.Thread(target=body, args=(rank,)) for rank in range(self.world)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failed:
            raise failed[0]
        return out
