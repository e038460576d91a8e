"""Whatever a server sends: a whole answer in time, or ``Gone``; the user's mistake only before it was known."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from rude_server import Reply, RudeServer, answered, completion, drip, reply

from sdar_cli.engines import wire
from sdar_cli.engines.client import Gone, Server
from sdar_cli.errors import UserError
from sdar_cli.recipe.schema import Sampling

HEAD = b"HTTP/1.1 200 OK\r\n"
MODELS = answered({"data": [{"id": "policy"}]})
FOREIGN = reply(b'{"detail": "Not Found"}', status="404 Not Found")
GOOD = completion()
SOON = 0.6
PAGE = b"<html><body>Sign in</body></html>"

STRANGE: dict[str, Reply] = {
    "half, of a known length": reply(GOOD[-40:], length=4000),
    "half, of an unknown length": reply(b'{"choices": [{"token_ids": [3, 2], "logpro', length=None),
    "nothing": b"",
    "half a head": b"HTTP/1.1 200",
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "a page": reply(PAGE),
    "a page of another status": reply(PAGE, status="403 Forbidden"),
    "a page that is missing": reply(PAGE, status="404 Not Found"),
    "a redirection": reply(b"", status="302 Found", extra="Location: http://127.0.0.1/login\r\n"),
    "no content": reply(b"", status="204 No Content"),
    "no text": reply(b"\xff\xfe\x80"),
    "deep": reply(b'{"choices":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "a list": answered([]),
    "no choices": answered({"choices": []}),
    "no ids": answered({"choices": [{"logprobs": {"token_logprobs": []}}]}),
    "ids are a text": completion("32"),
    "ids are fractions": completion([3.5, 2]),
    "ids are truths": completion([True, 2]),
    "ids are huge": completion([10**400, 2]),
    "no log-probs": completion([3, 2], None),
    "log-probs are a text": completion([3, 2], ["a", "b"]),
    "a digit too many": reply(b'{"choices": [{"token_ids": [' + b"9" * 5000 + b"]}]}"),
    "unpacked by nobody": reply(b"\x1f\x8b\x08" + b"x" * 50, extra="Content-Encoding: gzip\r\n"),
}
UNSOUND: dict[str, tuple[Reply, str]] = {
    "a token beyond the vocabulary": (completion([3, 50]), "token 50 came, and the model knows 50"),
    "a token below none": (completion([3, -7]), "token -7 came, and the model knows 50"),
    "more tokens than asked for": (completion([3] * 6, [-1.0] * 6), "6 tokens came where 5 were asked for"),
    "a log-prob that none can be": (completion([3, 2], [-1.0, 700.0]), "a log-prob of 700 came"),
    "a log-prob too few": (completion([3, 2], [-1.0]), "2 tokens came with 1 log-probs"),
}


@pytest.fixture
def rude() -> Iterator[RudeServer]:
    made = RudeServer()
    yield made
    made.close()


@pytest.fixture
def server(rude: RudeServer) -> Iterator[Server]:
    made = Server(rude.url, timeout=20.0)
    yield made
    made.close()


def ask(server: Server):
    return server.complete([5], Sampling(), model="policy", max_tokens=5, ends=[2], seed=0, vocabulary=50)


def known(rude: RudeServer, server: Server) -> None:
    """It has said what it is, and answered once."""
    rude.replies = [MODELS, FOREIGN, GOOD]
    assert server.info().model == "policy"
    assert ask(server).ids == [3, 2]


@pytest.mark.parametrize("kind", STRANGE)
def test_a_known_server_that_is_strange_is_gone_and_comes_back(rude: RudeServer, server: Server, kind: str) -> None:
    known(rude, server)
    rude.replies = [STRANGE[kind], MODELS, GOOD]
    with pytest.raises(Gone) as caught:
        ask(server)
    assert str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 300
    rude.replies = [GOOD]
    assert ask(server).ids == [3, 2]


@pytest.mark.parametrize("kind", UNSOUND)
def test_an_answer_that_cannot_be_the_policys_is_none(rude: RudeServer, server: Server, kind: str) -> None:
    rude.replies, said = [UNSOUND[kind][0]], UNSOUND[kind][1]
    with pytest.raises(Gone, match=said):
        ask(server)


@pytest.mark.parametrize("kind", ["a page", "deep", "no ids", "a page of another status", "a list"])
def test_a_server_that_is_not_known_yet_is_the_users_mistake(rude: RudeServer, server: Server, kind: str) -> None:
    rude.replies = [STRANGE[kind]]
    with pytest.raises(UserError):
        ask(server)


def test_a_body_without_end(rude: RudeServer, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MOST_BYTES", 1 << 20)

    def pour(connection) -> None:
        connection.sendall(HEAD + b"Connection: close\r\n\r\n")
        while True:
            connection.sendall(b" " * 65536)

    rude.replies = [pour]
    with pytest.raises(Gone, match=r"^an answer of more than 1 MiB$"):
        ask(server)


@pytest.mark.parametrize("head", [HEAD + b"Connection: close\r\n\r\n", HEAD + b"X-Slow: "], ids=["body", "head"])
def test_a_drip_is_bounded_in_time(rude: RudeServer, monkeypatch: pytest.MonkeyPatch, head: bytes) -> None:
    """Each byte comes well within the limit for one."""
    monkeypatch.setattr(wire, "LAST_SECONDS", 0.2)
    rude.replies = [drip(head, b"x")]
    server = Server(rude.url, timeout=SOON)
    before = time.monotonic()
    with pytest.raises(Gone, match=r"^no whole answer within 0\.[68] s$"):
        ask(server)
    assert time.monotonic() - before < 20 * SOON
    server.close()


def test_silence_is_bounded_in_time(rude: RudeServer) -> None:
    held = threading.Event()
    rude.replies = [lambda connection: held.wait(60)]
    server = Server(rude.url, timeout=SOON)
    with pytest.raises(Gone, match="ReadTimeout"):
        ask(server)
    held.set()
    server.close()


@pytest.mark.parametrize(
    "value",
    [
        {"vllm_config": None},
        {"vllm_config": "a"},
        {"vllm_config": {"lora_config": [1]}},
        {"vllm_config": {"lora_config": {"max_lora_rank": "many"}}},
        {"vllm_config": {"parallel_config": "a"}},
    ],
)
def test_what_a_server_says_of_itself_may_be_anything(rude: RudeServer, server: Server, value: dict) -> None:
    """Without a configuration, it takes no weights."""
    rude.replies = [MODELS, answered(value)]
    if value["vllm_config"] is None:
        assert not server.info().development
    else:
        with pytest.raises(UserError, match=r"answers what cannot be understood, so it is no vLLM server: correct"):
            server.info()
        known(rude, server)
        rude.replies = [MODELS, answered(value)]
        with pytest.raises(Gone, match="cannot be understood"):
            server.info()


@pytest.mark.parametrize("results", [None, [], "a", [None], [{}], [{"boot": "b"}], 3])
def test_workers_that_say_something_else(rude: RudeServer, server: Server, results: object) -> None:
    known(rude, server)
    rude.replies = [answered({"results": results})]
    for work in (server.state, server.fingerprint, lambda: server.sees("/a")):
        with pytest.raises(Gone, match="collective_rpc answers no"):
            work()


@pytest.mark.parametrize(
    "weights", [{"a": 3}, {"a": ["1", 2]}, {"a": [1, 2, "float32"]}, {"a": ["x", 2, "float32"]}, {"a": None}, []]
)
def test_sums_of_weights_that_are_none(rude: RudeServer, server: Server, weights: object) -> None:
    known(rude, server)
    rude.replies = [answered({"results": [{"boot": "b", "weights": weights, "adapter": {}, "fused": {}}]})]
    with pytest.raises(Gone, match="sums of weights"):
        server.fingerprint()


def test_a_refusal_shows_no_secret_and_nothing_hidden(rude: RudeServer, server: Server) -> None:
    body = b'{"error": {"message": "no \xe2\x80\xaeroute to http://me:secret@10.0.0.1/?token=abc"}}'
    rude.replies = [reply(body, status="502 Bad Gateway")]
    with pytest.raises(Gone) as caught:
        ask(server)
    assert str(caught.value) == "502: no ⟨U+202E⟩route to http://***@10.0.0.1/?token=***"
