"""Who may ask a server of ours, how much at once, and for how long; over sockets where time matters."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
import uvicorn

from sdar_cli.errors import UserError
from sdar_cli.servers.front import Front
from sdar_cli.servers.guard import Guard, Receive, Rules, Scope, Send, VllmGuard, is_loopback
from sdar_cli.servers.listen import listen, url
from sdar_cli.servers.token import RETRIEVER, token, token_for

TOKEN = "a-token-of-32-letters-and-digits"
OPEN = Rules(hosts=None)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with what it was asked."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    headers = sorted(name.decode() for name, _ in scope["headers"])
    asked = {"path": scope["path"], "query": scope["query_string"].decode(), "body": len(body), "headers": headers}
    content = json.dumps(asked).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": content})


def ask(rules: Rules, *requests: dict[str, Any], host: str = "localhost") -> list[httpx.Response]:
    async def run() -> list[httpx.Response]:
        transport = httpx.ASGITransport(Guard(echo, rules))
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
            return [await client.request(**{"method": "POST", "url": "/x", **request}) for request in requests]

    return asyncio.run(run())


def basic(password: str) -> str:
    return f"Basic {base64.b64encode(f'me:{password}'.encode()).decode()}"


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (None, 401),
        ("Bearer " + TOKEN, 200),
        ("bearer  " + TOKEN, 200),
        (basic(TOKEN), 200),
        ("Bearer " + TOKEN[:-1], 401),
        ("Bearer", 401),
        ("Bearer é", 401),
        (TOKEN, 401),
        (basic("wrong"), 401),
        ("Basic !!", 401),
        ("Basic /w==", 401),
        ("Basic é", 401),
    ],
)
def test_the_token_is_asked_for(given: str | None, status: int) -> None:
    headers = {} if given is None else {"authorization": given.encode("latin-1")}
    (answer,) = ask(replace(OPEN, token=TOKEN), {"headers": headers})
    assert answer.status_code == status
    if status == 401:
        assert "token" in answer.json()["detail"] and TOKEN not in answer.text
        assert "Bearer" in answer.headers["www-authenticate"]


def test_health_needs_no_token_and_nothing_that_looks_like_it() -> None:
    paths = ("/health", "/health/", "/healthy", "//health", "/x/health", "/HEALTH")
    answers = ask(replace(OPEN, token=TOKEN), *({"url": f"http://localhost{path}", "method": "GET"} for path in paths))
    assert [answer.status_code for answer in answers] == [200] + [401] * 5


def test_only_under_a_name_of_this_machine() -> None:
    for host, status in {
        "localhost": 200,
        "127.0.0.1:8000": 200,
        "127.8.9.1": 200,
        "[::1]:80": 200,
        "evil.example": 403,
        "127.0.0.1.evil.example": 403,
        "localhost.evil.example:80": 403,
        "10.0.0.1": 403,
        "": 403,
    }.items():
        assert ask(Rules(), {"headers": {"host": host}})[0].status_code == status, host


def test_pages_of_other_sites_may_not_ask() -> None:
    for origin, status in {
        "http://localhost": 200,
        "http://evil.example": 403,
        "null": 403,
        "http://[": 403,
    }.items():
        assert ask(Rules(), {"headers": {"origin": origin}})[0].status_code == status, origin


def test_a_body_has_a_limit_announced_or_not() -> None:
    rules = replace(OPEN, max_bytes=100)

    async def chunks() -> Any:
        for _ in range(11):
            yield b"x" * 10

    fits, over, unannounced, absurd = ask(
        rules,
        {"content": b"x" * 100},
        {"content": b"x" * 101},
        {"content": chunks()},
        {"headers": {"content-length": "9" * 5000}, "content": b""},
    )
    assert fits.json()["body"] == 100
    for refused in (over, unannounced, absurd):
        assert refused.status_code == 413 and "larger than 100 bytes" in refused.json()["detail"]


def test_an_address_has_a_rate() -> None:
    answers = ask(replace(OPEN, rate=5.0), *[{}] * 8)
    assert [answer.status_code for answer in answers][:5] == [200] * 5
    assert answers[-1].status_code == 429 and answers[-1].headers["retry-after"] == "1"


def test_many_addresses_are_not_remembered_for_ever() -> None:
    guard = Guard(echo, OPEN)
    for number in range(10_500):
        assert guard._in_time(str(number))
    assert len(guard._buckets) == 10_000


@contextmanager
def served(rules: Rules, app: Callable[..., Coroutine[Any, Any, None]] = echo) -> Iterator[str]:
    opened = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(Guard(app, rules), log_config=None, lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]})
    thread.start()
    try:
        yield url(opened, "127.0.0.1")
    finally:
        server.should_exit = True
        thread.join()
        opened.close()


def test_a_slow_body_is_given_up() -> None:
    with served(replace(OPEN, seconds=0.2)) as address:
        host, port = address.removeprefix("http://").split(":")
        with closing(socket.create_connection((host, int(port)), timeout=30)) as line:
            line.sendall(b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nfew")
            assert line.recv(100).startswith(b"HTTP/1.1 408")


def test_no_more_than_so_many_are_under_way() -> None:
    entered, go = threading.Semaphore(0), threading.Event()

    async def waits(scope: Scope, receive: Receive, send: Send) -> None:
        entered.release()
        while not go.is_set():
            await asyncio.sleep(0.005)
        await echo(scope, receive, send)

    with served(replace(OPEN, at_once=2), waits) as address:
        first: list[int] = []
        threads = [
            threading.Thread(target=lambda: first.append(httpx.post(address, timeout=30).status_code)) for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        assert entered.acquire(timeout=30) and entered.acquire(timeout=30)
        assert httpx.post(address, timeout=30).status_code == 429
        go.set()
        for thread in threads:
            thread.join()
        assert first == [200, 200]
        assert httpx.post(address, timeout=30).status_code == 200


def test_web_sockets_are_refused() -> None:
    sent: list[Any] = []

    async def run() -> None:
        async def receive() -> Any:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await Guard(echo, OPEN)({"type": "websocket", "path": "/", "headers": []}, receive, send)

    asyncio.run(run())
    assert [message["type"] for message in sent] == ["websocket.close"]


def test_vllm_is_guarded_by_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VLLM_API_KEY", raising=False)
    with pytest.raises(RuntimeError, match="VLLM_API_KEY"):
        VllmGuard(echo)
    monkeypatch.setenv("VLLM_API_KEY", TOKEN)

    async def run() -> list[int]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(VllmGuard(echo)), base_url="http://node7") as client:
            with_key = {"authorization": f"Bearer {TOKEN}"}
            return [
                (await client.post("/collective_rpc")).status_code,
                (await client.post("/collective_rpc", headers=with_key)).status_code,
                (await client.get("/server_info")).status_code,
                (await client.get("/health")).status_code,
            ]

    assert asyncio.run(run()) == [401, 200, 401, 200]


def test_wider_than_loopback_needs_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(RETRIEVER, raising=False)
    for host in ("127.0.0.1", "127.3.2.1", "::1", "localhost"):
        assert is_loopback(host) and token_for(host, RETRIEVER) is None
    for host in ("0.0.0.0", "::", "10.1.2.3", "node7", "", "localhost.example"):
        with pytest.raises(UserError, match="set SDAR_RETRIEVER_TOKEN"):
            token_for(host, RETRIEVER)
    monkeypatch.setenv(RETRIEVER, TOKEN)
    assert token_for("0.0.0.0", RETRIEVER) == token_for("127.0.0.1", RETRIEVER) == TOKEN
    for bad in ("short", "with a space in between", "ü" * 20, "x" * 20 + "\n"):
        monkeypatch.setenv(RETRIEVER, bad)
        with pytest.raises(UserError, match="openssl rand") as caught:
            token(RETRIEVER)
        assert bad.strip() not in str(caught.value)


def test_visitors_do_not_share_cookies_and_odd_addresses_are_refused() -> None:
    async def greets(scope: Scope, receive: Receive, send: Send) -> None:
        cookie = next((value for name, value in scope["headers"] if name == b"cookie"), b"none")
        await send({"type": "http.response.start", "status": 200, "headers": [(b"set-cookie", b"who=first")]})
        await send({"type": "http.response.body", "body": cookie})

    with served(Rules(), greets) as behind, Front("127.0.0.1", 0, behind, TOKEN) as front:
        assert [httpx.get(front.url, auth=("me", TOKEN), timeout=30).text for _ in range(2)] == ["none", "none"]
        host, port = front.url.removeprefix("http://").split(":")
        with closing(socket.create_connection((host, int(port)), timeout=30)) as line:
            told = base64.b64encode(f"me:{TOKEN}".encode()).decode()
            line.sendall(f"GET http://\x7f/ HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {told}\r\n\r\n".encode())
            assert line.recv(100).startswith(b"HTTP/1.1 4")


def test_a_front_passes_on_what_may_pass() -> None:
    with served(Rules()) as behind, Front("127.0.0.1", 0, behind, TOKEN) as front:
        refused = httpx.get(f"{front.url}/a?b=c", timeout=30)
        assert refused.status_code == 401 and refused.headers["www-authenticate"].startswith("Basic")
        answer = httpx.post(f"{front.url}/a%20b?b=c%26d", content=b"12345", auth=("me", TOKEN), timeout=30)
        asked = answer.json()
        assert (asked["path"], asked["query"], asked["body"]) == ("/a b", "b=c%26d", 5)
        assert "authorization" not in asked["headers"]
        other = httpx.post(front.url, headers={"origin": "http://evil.example"}, auth=("me", TOKEN), timeout=30)
        assert other.status_code == 403
    with Front("127.0.0.1", 0, behind, TOKEN) as front:
        assert httpx.get(front.url, auth=("me", TOKEN), timeout=30).status_code == 502
