"""The application without a socket: answers, refusals, loading, failures."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from retriever_toys import TEXTS, Words, open_corpus, record

from sdar_cli.retriever.app import LOADING, REASONS, Loaded, build_app
from sdar_cli.retriever.engine import Hit
from sdar_cli.retriever.protocol import Limits
from sdar_cli.retriever.service import Service
from sdar_cli.servers.guard import Rules

LIMITS = Limits(topk=2, max_topk=4, max_queries=3)
RULES = Rules(hosts=None, max_bytes=200)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    corpus = open_corpus(tmp_path / "data")
    yield Service(corpus, Words())
    corpus.close()


Talk = Callable[[httpx.AsyncClient], Coroutine[Any, Any, Any]]


def talk(loaded: Loaded, what: Talk, say: Callable[[str], None] = print) -> Any:
    async def run() -> Any:
        transport = httpx.ASGITransport(build_app(loaded, LIMITS, RULES, say), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://retriever") as client:
            return await what(client)

    return asyncio.run(run())


def post(service: Service, body: Any) -> httpx.Response:
    return talk(Loaded(service), lambda client: client.post("/retrieve", json=body))


def test_both_dialects_with_scores(service: Service) -> None:
    row = [{"document": record(2, TEXTS[2]), "score": 0.5}]
    assert post(service, {"query": "capital", "return_scores": True}).json() == {"result": [row]}
    assert post(service, {"queries": ["capital", "nothing"], "return_scores": True}).json() == {"result": [row, []]}
    assert service.engine.asked == [(["capital"], 2), (["capital", "nothing"], 2)]


def test_without_scores_the_documents_alone(service: Service) -> None:
    expected = {"result": [[record(2, TEXTS[2]), record(3, TEXTS[3])]]}
    assert post(service, {"query": "France."}).json() == expected
    assert post(service, {"queries": ["France."], "return_scores": False}).json() == expected


def test_topk(service: Service) -> None:
    assert [len(post(service, {"query": "is", "topk": topk}).json()["result"][0]) for topk in (1, 3, 4)] == [1, 3, 3]
    assert len(post(service, {"query": "is"}).json()["result"][0]) == 2


def test_blank_queries_are_not_searched(service: Service) -> None:
    assert post(service, {"query": ""}).json() == {"result": [[]]}
    result = post(service, {"queries": [" \n", "capital", "\u3000"]}).json()["result"]
    assert result == [[], [record(2, TEXTS[2])], []]
    assert post(service, {"queries": []}).json() == {"result": []}
    assert service.engine.asked == [(["capital"], 2)]


def test_unicode_as_it_is(service: Service) -> None:
    response = post(service, {"query": "東京"})
    assert response.json()["result"] == [[record(1, TEXTS[1])]]
    assert "東京" in response.content.decode()


def test_health(service: Service) -> None:
    response = talk(Loaded(service), lambda client: client.get("/health"))
    assert response.json() == {"name": "corpus.jsonl", "engine": "words", "documents": 5}


def test_while_loading(service: Service) -> None:
    loaded = Loaded()

    async def ask(client: httpx.AsyncClient) -> None:
        for _ in range(2):
            for response in (await client.get("/health"), await client.post("/retrieve", json={"query": "is"})):
                assert (response.status_code, response.json()) == (503, {"detail": LOADING})
                assert int(response.headers["Retry-After"]) > 0
        loaded.service = service
        assert (await client.post("/retrieve", json={"query": "is"})).status_code == 200

    talk(loaded, ask)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("POST", "/retrieve/", 307),
        ("GET", "/retrieve", 405),
        ("POST", "/health", 405),
        ("GET", "/docs", 404),
    ],
)
def test_other_paths(method: str, path: str, status: int, service: Service) -> None:
    response = talk(Loaded(service), lambda client: client.request(method, path))
    assert response.status_code == status
    if status >= 400:
        detail = f"there is no {method} {path} here: use POST /retrieve or GET /health"
        assert response.json() == {"detail": detail}


def test_a_refusal_is_one_sentence(service: Service) -> None:
    response = post(service, {"queries": "a"})
    assert response.status_code == 422
    assert response.json() == {"detail": "'queries' is a string: send a list of strings, or a string as 'query'"}


def test_large_bodies(service: Service) -> None:
    """By what is announced, and by what comes; at the limit exactly, it is read."""
    read: list[int] = []

    async def chunks() -> AsyncIterator[bytes]:
        for number in range(1000):
            read.append(number)
            yield b" " * 100

    too_large = {"detail": "the body is larger than 200 bytes: send less at a time"}
    fits = b'{"query": "capital"}'.ljust(200)
    for content, status in ((fits, 200), (fits + b" ", 413), (chunks(), 413)):
        response = talk(Loaded(service), lambda client, content=content: client.post("/retrieve", content=content))
        assert response.status_code == status
        assert status == 200 or response.json() == too_large
    response = talk(
        Loaded(service),
        lambda client: client.post("/retrieve", content=fits, headers={"Content-Length": "9" * 5000}),
    )
    assert (response.status_code, response.json()) == (413, too_large)


def test_a_failing_search_tells_nothing_and_ends_nothing(service: Service) -> None:
    async def ask(client: httpx.AsyncClient) -> None:
        failed = await client.post("/retrieve", json={"query": "explode"})
        assert failed.status_code == 500
        assert failed.json() == {"detail": "the search failed (RuntimeError): see the server's output"}
        assert (await client.post("/retrieve", json={"query": "is"})).status_code == 200
        await client.post("/retrieve", json={"query": "explode"})

    said: list[str] = []
    talk(Loaded(service), ask, said.append)
    assert len(said) == 1 and said[0].startswith("a search failed: RuntimeError: ")


def test_reasons_that_alternate_or_never_end_are_said_so_often(service: Service) -> None:
    number, reasons = 0, 2

    def search(queries: list[str], topk: int) -> list[list[Hit]]:
        nonlocal number
        number += 1
        raise RuntimeError(f"passage {number % reasons} is damaged")

    async def ask(client: httpx.AsyncClient) -> None:
        for _ in range(60):
            assert (await client.post("/retrieve", json={"query": "is"})).status_code == 500

    service.engine.search = search  # type: ignore[method-assign]
    said: list[str] = []
    talk(Loaded(service), ask, said.append)
    assert len(said) == 2
    reasons = 1000
    talk(Loaded(service), ask, said.append)
    assert len(said) == 2 + REASONS + 1 and "further ones are not said" in said[-1]


def test_a_corpus_that_changes_under_the_server(service: Service) -> None:
    service.corpus.file.write_bytes(b"")
    response = post(service, {"query": "is"})
    assert (response.status_code, response.json()["detail"][:31]) == (500, "the search failed (EnvironmentS")


def test_searches_at_a_time_are_bounded(service: Service) -> None:
    """Two may run, the engine says; all twelve are answered."""
    most, under_way = 0, 0
    lock = threading.Lock()
    both = threading.Barrier(2)

    def search(queries: list[str], topk: int) -> list[list[Hit]]:
        nonlocal most, under_way
        with lock:
            under_way += 1
            most = max(most, under_way)
        both.wait(timeout=30)
        with lock:
            under_way -= 1
        return [[Hit(int(query), 1.0)] for query in queries]

    service.engine.search = search  # type: ignore[method-assign]

    async def ask(client: httpx.AsyncClient) -> list[str]:
        answers = await asyncio.gather(
            *(client.post("/retrieve", json={"query": str(number % 5)}) for number in range(12))
        )
        return [answer.json()["result"][0][0]["id"] for answer in answers]

    assert talk(Loaded(service), ask) == [str(number % 5) for number in range(12)]
    assert most == 2
