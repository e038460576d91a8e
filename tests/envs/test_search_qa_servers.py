"""Several retrieval servers: who is asked next, and who is rested."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from search_qa_clients import ONE, TWO, Clock, make, planned
from search_qa_server import good

from sdar_cli.errors import EnvironmentSetupError
from sdar_envs.search_qa.servers import Servers


def by_host(**bodies: list[object]) -> tuple[Callable[[httpx.Request], httpx.Response], list[str]]:
    asked: list[str] = []
    queues = {host: planned(*steps) for host, steps in bodies.items()}

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return queues[request.url.host](request)

    return handler, asked


def test_servers_take_turns() -> None:
    handler, asked = by_host(one=[good("x")] * 3, two=[good("x")] * 3)
    client = make(handler, urls=(ONE, TWO))
    for query in "abcdef":
        client.search(query, 3)
    assert asked == ["one", "two"] * 3


def test_a_server_that_fails_is_rested_and_another_asked_at_once() -> None:
    clock = Clock()
    handler, asked = by_host(one=[500, good("x"), good("x")], two=[good("x")] * 9)
    client = make(handler, clock, urls=(ONE, TWO))
    for query in "abc":
        client.search(query, 3)
    assert (asked, clock.sleeps) == (["one", "two", "two", "two"], [])
    clock.now += 30.0
    for query in "def":
        client.search(query, 3)
    assert asked[4:] == ["one", "two", "one"]


def test_where_all_have_failed_the_one_that_has_rested_longest_is_asked_after_a_wait() -> None:
    clock = Clock()
    handler, asked = by_host(one=[500, 500, good("x")], two=[500, 500])
    assert make(handler, clock, urls=(ONE, TWO)).search("a", 3) == ["x"]
    assert asked == ["one", "two", "one", "two", "one"]
    assert clock.sleeps == [0.5, 1.0, 2.0]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["failed", "worked", "wait"])), max_size=30))
def test_some_server_is_always_next_and_never_one_that_rests_while_another_does_not(events: list) -> None:
    clock = Clock()
    servers = Servers("abc", clock)
    ends = dict.fromkeys("abc", 0.0)
    for url, event in events:
        if event == "wait":
            clock.now += 11.0
        else:
            getattr(servers, event)(url)
            ends[url] = clock.now + 30.0 if event == "failed" else 0.0
        chosen = servers.next()
        assert ends[chosen] <= clock.now or all(end > clock.now for end in ends.values())


def test_no_server_at_all_is_said_with_the_remedy() -> None:
    handler, _ = by_host(one=[httpx.ConnectError("no")], two=[httpx.ConnectTimeout("no")])
    with pytest.raises(EnvironmentSetupError) as caught:
        make(handler, urls=(ONE, TWO)).check()
    message = str(caught.value)
    assert message.startswith("no retrieval server answers at http://one:1/retrieve, http://two:2/retrieve: start one")
    assert "`sdar retriever serve`" in message and "\n" not in message


def test_one_server_of_two_is_enough() -> None:
    handler, _ = by_host(one=[httpx.ConnectError("no")], two=[good("x")])
    make(handler, urls=(ONE, TWO)).check()
