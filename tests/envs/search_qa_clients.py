"""Clients of retrieval servers that are stand-ins, and a clock."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from sdar_envs.search_qa.client import RetrievalClient, ServerSettings

ONE = "http://one:1/retrieve"


TWO = "http://two:2/retrieve"


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.sleeps: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds


def make(
    handler: Callable[[httpx.Request], httpx.Response], clock: Clock | None = None, **settings: object
) -> RetrievalClient:
    clock = clock or Clock()
    return RetrievalClient(
        ServerSettings(**{"urls": (ONE,), **settings}),  # type: ignore[arg-type]
        transport=httpx.MockTransport(handler),
        clock=clock,
        sleep=clock.sleep,
        jitter=lambda: 1.0,
    )


def planned(*steps: object) -> Callable[[httpx.Request], httpx.Response]:
    """Answers in turn: an exception is raised, a status answered alone, bytes with status 200."""
    queue = list(steps)

    def handler(request: httpx.Request) -> httpx.Response:
        step = queue.pop(0)
        if isinstance(step, Exception):
            raise step
        return httpx.Response(step) if isinstance(step, int) else httpx.Response(200, content=step)

    return handler
