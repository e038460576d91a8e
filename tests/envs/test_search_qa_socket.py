"""The client of retrieval servers over a real socket, with a server that misbehaves."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from search_qa_server import Server, good, serving

from sdar_cli.errors import EnvironmentSetupError
from sdar_envs.search_qa.client import RetrievalClient, RetrievalError, ServerSettings


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[RetrievalClient]:
    client = RetrievalClient(ServerSettings((server.url,), timeout=5.0, connections=3), sleep=lambda seconds: None)
    yield client
    client.close()


@pytest.mark.parametrize("step", ["drop", "half", 500, 503, b"garbage", good("x")[:-9], b'{"result": {}}'], ids=str)
def test_a_bad_answer_of_a_real_server_costs_one_try(server: Server, client: RetrievalClient, step: object) -> None:
    server.plan.extend([step, step])
    assert client.search("old bell", 3) == ["about old bell"]
    assert len(server.seen) == 3
    assert client.search("new bell", 3) == ["about new bell"], "good again"


@pytest.mark.parametrize("step", ["hang", "drip"])
def test_a_slow_server_costs_one_try(server: Server, step: str) -> None:
    server.plan.append(step)
    client = RetrievalClient(ServerSettings((server.url,), timeout=0.3), sleep=lambda seconds: None)
    assert client.search("a", 3) == ["about a"]
    client.close()


def test_a_real_server_that_is_gone(server: Server) -> None:
    with serving() as other:
        url = other.url
    gone = RetrievalClient(ServerSettings((url,), tries=2), sleep=lambda seconds: None)
    with pytest.raises(EnvironmentSetupError, match=r"no retrieval server answers at http://127\.0\.0\.1:"):
        gone.check()
    with pytest.raises(RetrievalError, match="in 2 tries"):
        gone.search("a", 3)
    gone.close()
    both = RetrievalClient(ServerSettings((url, server.url)), sleep=lambda seconds: pytest.fail("slept"))
    both.check()
    assert both.search("a", 3) == ["about a"]
    both.close()


def test_no_more_requests_are_under_way_than_allowed(server: Server, client: RetrievalClient) -> None:
    server.plan.extend(["hang"] * 12)
    with ThreadPoolExecutor(12) as threads:
        futures = [threads.submit(client.search, f"q{number}", 3) for number in range(12)]
        for _ in range(12_000):  # a minute
            if server.together == 3 or server.release.wait(0.005):
                break
        server.release.set()
        assert sorted(future.result()[0] for future in futures) == sorted(f"about q{number}" for number in range(12))
    assert server.most_together == 3


def test_a_proxy_of_the_environment_is_not_asked(
    server: Server, client: RetrievalClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    fresh = RetrievalClient(ServerSettings((server.url,), tries=1))
    assert fresh.search("a", 3) == ["about a"]
    fresh.close()
