"""What a server answers, damaged in every named way, to the clients that read it: a result, or the client's error."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Any

import httpx
import mutations as m

RETRIEVED = {"result": [[{"document": {"id": n, "contents": f'"Ti{n}"\ntext'}, "score": 1.5 - n} for n in range(3)]]}
COMPLETED = {
    "id": "cmpl-1",
    "model": "base",
    "choices": [
        {"index": 0, "text": "ab", "token_ids": [5, 7], "logprobs": {"token_logprobs": [-0.5, -1.25]}, "extra": None}
    ],
    "usage": {"prompt_tokens": 2, "completion_tokens": 2},
}
PAGES = (b"<html><body>502 Bad Gateway</body></html>", b"\x1b[2J", b"", b"{}", b'{"error": {"message": "a\\u001b[2J"}}')
Damage = Callable[[Any, Random], bytes | str]


def _at(tree: Any, random: Random) -> m.Keys:
    return random.choice([at for at, _ in m.leaves(tree)])


def _keyed(tree: Any, random: Random) -> m.Keys:
    return random.choice([at for at, _ in m.leaves(tree) if isinstance(at[-1], str)])


CLASSES: Mapping[str, Damage] = {
    "cut": lambda tree, random: m.cut(json.dumps(tree).encode(), random),
    "flip": lambda tree, random: m.flip(json.dumps(tree).encode(), random),
    "encoding": lambda tree, random: m.not_utf8(json.dumps(tree).encode(), random),
    "surrogate": lambda tree, random: m.spliced(tree, _at(tree, random), m.half_pair(random)),
    "control": lambda tree, random: json.dumps(m.put(tree, _at(tree, random), random.choice(m.CONTROL))),
    "depth": lambda tree, random: m.spliced(tree, _at(tree, random), m.nested(random)),
    "size": lambda tree, random: json.dumps(m.put(tree, _at(tree, random), "x" * random.choice((9_000, 3 << 20)))),
    "bomb": lambda tree, random: json.dumps(m.put(tree, _at(tree, random), [[]] * 200_000)),
    "type": lambda tree, random: json.dumps(m.retyped(tree, _at(tree, random), random)),
    "number": lambda tree, random: m.spliced(tree, _at(tree, random), m.odd_number(random)),
    "missing": lambda tree, random: json.dumps(m.without(tree, _keyed(tree, random))),
    "unknown": lambda tree, random: json.dumps(m.with_unknown(tree, random.choice(list(m.maps(tree))), random)),
    "misspelt": lambda tree, random: json.dumps(m.misspelt(tree, _keyed(tree, random), random)),
    "duplicate": lambda tree, random: m.twice(tree, _keyed(tree, random), random),
    "empty": lambda tree, random: m.nothing(random),
    "status": lambda tree, random: random.choice(PAGES),
}
"""Class → body of the answer; of the class ``status``, one beside a status that is no success."""


def retriever(answer: httpx.Response) -> None:
    """Searches; an answer is a list of texts, or RetrievalError."""
    from sdar_envs.search_qa.client import RetrievalClient, RetrievalError, ServerSettings

    settings = ServerSettings(("http://127.0.0.1:9/retrieve",), tries=1)
    client = RetrievalClient(settings, transport=httpx.MockTransport(lambda request: answer), sleep=lambda _: None)
    try:
        found = client.search("river", 3)
    except RetrievalError as error:
        _is_sentence(str(error))
    else:
        assert len(found) <= 3 and all(isinstance(text, str) and text.encode() is not None for text in found)
    finally:
        client.close()


def engine(answer: httpx.Response) -> None:
    """Samples; an answer is as many tokens as log-probs, or the server is Gone, or the URL the user's mistake."""
    from sdar_cli.engines.client import Server
    from sdar_cli.engines.wire import Gone
    from sdar_cli.errors import UserError
    from sdar_cli.recipe.schema import Sampling

    server = Server("http://127.0.0.1:9", timeout=20.0)
    server._wire._http.close()
    server._wire._http = httpx.Client(
        base_url=server.url, transport=httpx.MockTransport(lambda request: answer), trust_env=False
    )
    try:
        found = server.complete([1, 2], Sampling(), model="base", max_tokens=4, ends=[0], seed=1, vocabulary=50)
    except (Gone, UserError) as error:
        _is_sentence(str(error))
    else:
        assert len(found.ids) == len(found.logprobs) <= 4
        assert all(type(token) is int and 0 <= token < 50 for token in found.ids)
    finally:
        server.close()


READERS: Mapping[str, tuple[Any, Callable[[httpx.Response], None]]] = {
    "retriever's answer": (RETRIEVED, retriever),
    "engine's answer": (COMPLETED, engine),
}


def _is_sentence(text: str) -> None:
    assert text and text.isprintable() and len(text) < 900, text[:900]


def cases(count: int) -> Iterator[tuple[str, int]]:
    """Class and number, the classes taking turns."""
    for place, klass in enumerate(CLASSES):
        for number in range(count // len(CLASSES) + (place < count % len(CLASSES))):
            yield klass, number


def check_answer(reader: str, klass: str, number: int) -> None:
    """Raises whatever the client lets through, and AssertionError for what it makes of the answer."""
    tree, read = READERS[reader]
    random = Random(f"{reader}/{klass}/{number}")
    body = CLASSES[klass](tree, random)
    status = random.choice((199, 204, 302, 400, 401, 404, 418, 429, 500, 503, 599)) if klass == "status" else 200
    content = body if isinstance(body, bytes) else body.encode("utf-8", "surrogatepass")
    read(httpx.Response(status, content=content, headers={"content-type": "application/json"}))
