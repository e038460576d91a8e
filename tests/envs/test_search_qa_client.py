"""The client of a retrieval server: what costs a retry, what is final, what is kept."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from search_qa_clients import ONE, Clock, make, planned
from search_qa_server import good

from sdar_cli.errors import EnvironmentSetupError
from sdar_cli.rollout.answers import checked
from sdar_envs.base import Observation
from sdar_envs.search_qa import client as client_module
from sdar_envs.search_qa.client import RetrievalError
from sdar_envs.search_qa.prompts import information
from sdar_envs.search_qa.servers import shown

# --- what is sent and what comes back ---


@pytest.mark.parametrize(
    ("dialect", "asked"), [("query", {"query": "old bell"}), ("queries", {"queries": ["old bell"]})]
)
def test_both_dialects(dialect: str, asked: dict[str, object]) -> None:
    requests = []

    def handler(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200, content=good("one", "two", "three", "four"))

    assert make(handler, dialect=dialect).search("old bell", 3) == ["one", "two", "three"]
    assert json.loads(requests[0].content) == {"topk": 3, "return_scores": True, **asked}
    assert (requests[0].method, str(requests[0].url)) == ("POST", ONE)


def test_fewer_documents_than_asked_for_and_none_at_all() -> None:
    client = make(planned(good("one"), good()))
    assert client.search("a", 3) == ["one"]
    assert client.search("b", 3) == []


BAD = {
    "no JSON": b"<html>gateway</html>",
    "cut short": good("x")[:-3],
    "empty": b"",
    "not UTF-8": b"\xff\xfe",
    "deep": b"[" * 200_000,
    "no object": b"[]",
    "no result": b'{"results": []}',
    "no list": b'{"result": "x"}',
    "no lists": b'{"result": []}',
    "two lists": b'{"result": [[], []]}',
    "a list of documents": b'{"result": [{"document": {"contents": "x"}}]}',
    "no scores": b'{"result": [[{"contents": "x"}]]}',
    "no contents": b'{"result": [[{"document": {"text": "x"}, "score": 1}]]}',
    "contents no text": b'{"result": [[{"document": {"contents": 3}, "score": 1}]]}',
    "null": b"null",
}


@pytest.mark.parametrize("body", BAD.values(), ids=BAD.keys())
def test_an_answer_of_the_wrong_form_costs_a_try(body: bytes) -> None:
    clock = Clock()
    assert make(planned(body, good("x")), clock).search("a", 3) == ["x"]
    assert len(clock.sleeps) == 1


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["result", "document", "contents"]), inner)
        ),
    )
)
def test_no_answer_breaks_the_client(answer: object) -> None:
    client = make(planned(json.dumps(answer).encode(), good("fine")))
    assert all(isinstance(text, str) for text in client.search("a", 3))


@pytest.mark.parametrize(
    "step",
    [
        500,
        502,
        503,
        504,
        httpx.ConnectError("refused"),
        httpx.ConnectTimeout("slow"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("dropped"),
        httpx.ReadError("reset"),
    ],
    ids=str,
)
def test_trouble_costs_a_try_and_a_wait(step: object) -> None:
    clock = Clock()
    assert make(planned(step, step, good("x")), clock).search("a", 3) == ["x"]
    assert clock.sleeps == [0.5, 1.0]


@pytest.mark.parametrize("status", [301, 400, 401, 404, 422])
def test_a_refusal_is_final(status: int) -> None:
    clock = Clock()
    with pytest.raises(RetrievalError, match=f"http://one:1/retrieve refused the request: status {status}"):
        make(planned(status), clock).search("a", 3)
    assert clock.sleeps == []


@pytest.mark.parametrize("status", [408, 425, 429])
def test_a_refusal_that_asks_for_patience_costs_a_try(status: int) -> None:
    assert make(planned(status, good("found"))).search("a", 3) == ["found"]


@pytest.mark.parametrize(
    "error", [httpx.InvalidURL("no host"), UnicodeError("label too long"), UnicodeEncodeError("idna", "a", 0, 1, "no")]
)
def test_a_url_that_no_host_can_have_is_a_sentence(error: Exception) -> None:
    with pytest.raises(EnvironmentSetupError, match=r"^no retrieval server can be at http://one:1/retrieve .*urls$"):
        make(planned(error)).check()
    with pytest.raises(RetrievalError, match="refused the request"):
        make(planned(error)).search("a", 3)


def test_documents_are_text_that_a_tokenizer_takes() -> None:
    body = good("x").replace(b'"x"', rb'"a \ud83d\ude00 b \ud800 c \udc00\ud83d"')
    (found,) = make(planned(body)).search("a", 3)
    assert found == "a 😀 b \ufffd c \ufffd\ufffd"


@pytest.mark.parametrize(("k", "most"), [(1, 32_768), (3, 32_768), (100, 1_600)])
def test_a_document_is_cut_so_that_all_fit_an_observation(k: int, most: int) -> None:
    """Each character may become twelve in an observation's JSON."""
    found = make(planned(good(*["é" * (most + 9)] * k))).search("a", k)
    assert [len(text) for text in found] == [most] * k
    assert isinstance(checked("reset", Observation(information(found))), Observation)


def test_waits_grow_to_a_limit_and_the_last_reason_is_given() -> None:
    clock = Clock()
    client = make(planned(*[500] * 9, b"{}"), clock, tries=10)
    with pytest.raises(
        RetrievalError, match="no usable answer in 10 tries, the last from http://one:1/retrieve: an an"
    ):
        client.search("a", 3)
    assert clock.sleeps == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_jitter_halves_a_wait_at_most() -> None:
    clock = Clock()
    client = make(planned(500, good("x")), clock)
    client._jitter = lambda: 0.0
    client.search("a", 3)
    assert clock.sleeps == [0.25]


def test_an_endless_answer_is_cut_off() -> None:
    clock = Clock()

    def slow() -> Iterator[bytes]:
        for _ in range(100):
            clock.now += 1.0
            yield b" "
        raise AssertionError("read to the end")

    first = [httpx.Response(200, content=slow())]
    client = make(lambda request: first.pop() if first else httpx.Response(200, content=good("x")), clock, timeout=5.0)
    assert client.search("a", 3) == ["x"]


def test_a_huge_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "MOST_BYTES", 1 << 20)
    with pytest.raises(RetrievalError, match="an answer of more than 1 MiB"):
        make(planned(b" " * (1 << 20) + good("x")), tries=1).search("a", 3)


def test_passwords_are_not_shown() -> None:
    assert shown("http://me:secret@host:1/retrieve") == "http://host:1/retrieve"
    with pytest.raises(RetrievalError) as caught:
        make(planned(404), urls=("http://me:secret@host:1/retrieve",)).search("a", 3)
    assert "secret" not in str(caught.value)


# --- what is kept ---


def test_an_answer_is_kept_for_its_query_and_number_of_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "CACHE_ENTRIES", 2)
    asked = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(json.loads(request.content)["query"])
        return httpx.Response(200, content=good(f"{len(asked)}", "x", "y"))

    client = make(handler)
    assert client.search("a", 1) == client.search("a", 1) == ["1"]
    assert client.search("a", 2) == ["2", "x"]
    client.search("a", 1)
    client.search("b", 1)  # pushes out what was not asked for the longest
    client.search("a", 1)
    assert asked == ["a", "a", "b"]
    client.search("a", 2)
    assert asked == ["a", "a", "b", "a"]


def test_what_a_caller_does_to_an_answer_is_its_own_affair() -> None:
    client = make(planned(good("x")))
    client.search("a", 3).append("mine")
    assert client.search("a", 3) == ["x"]


def test_a_failure_is_not_kept() -> None:
    client = make(planned(500, good("x")), tries=1)
    with pytest.raises(RetrievalError):
        client.search("a", 3)
    assert client.search("a", 3) == ["x"]


@pytest.mark.parametrize("step", [500, 503, httpx.ReadTimeout("slow"), httpx.RemoteProtocolError("x"), b"{}"], ids=str)
def test_a_server_that_is_only_slow_or_broken_may_recover(step: object) -> None:
    make(planned(step)).check()


@pytest.mark.parametrize(("dialect", "other"), [("query", "queries"), ("queries", "query")])
def test_a_server_that_refuses_the_dialect_is_said_at_once(dialect: str, other: str) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(422, content=b'{"detail":\n"no such field"}')

    with pytest.raises(EnvironmentSetupError) as caught:
        make(handler, dialect=dialect).check()
    assert str(caught.value) == (
        'the retrieval server at http://one:1/retrieve refuses a request (status 422: {"detail": "no such field"}): '
        f"correct environment.options.urls, or set environment.options.dialect={other}"
    )
