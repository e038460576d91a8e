"""Connections that never ask for anything are closed, and there are only so many; over sockets."""

from __future__ import annotations

import resource
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import httpx
import pytest
import uvicorn

from sdar_cli.retriever import server as retriever
from sdar_cli.servers import connections
from sdar_cli.servers.connections import bounded
from sdar_cli.servers.front import Front
from sdar_cli.servers.guard import Guard, Rules
from sdar_cli.servers.listen import listen

WHOLE = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def answer(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@contextmanager
def served(most: int, seconds: float, idle: float = 600, app: Any = None) -> Iterator[tuple[str, int]]:
    opened = listen("127.0.0.1", 0)
    settings: dict[str, Any] = {"log_config": None, "lifespan": "off", "ws": "none", "timeout_keep_alive": idle}
    server = uvicorn.Server(uvicorn.Config(app or Guard(answer, Rules()), http=bounded(most, seconds), **settings))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]})
    thread.start()
    try:
        yield "127.0.0.1", opened.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
        opened.close()


def ask(line: socket.socket, request: bytes = WHOLE) -> bool:
    """Whether it is answered."""
    line.sendall(request)
    found = b""
    while not found.endswith(b"ok") and (more := line.recv(1000)):
        found += more
    return found.startswith(b"HTTP/1.1 200")


def is_closed(line: socket.socket) -> bool:
    """Waits for it, half a minute at most."""
    try:
        return line.recv(1000) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("sent", [b"", b"G", b"GET / HTTP/1.1\r\nHost: localhost\r\n", WHOLE[:-1]])
def test_one_that_does_not_ask_is_closed(sent: bytes) -> None:
    with served(10, 0.2) as place, closing(socket.create_connection(place, timeout=30)) as line:
        line.sendall(sent)
        assert is_closed(line)


def test_nor_may_one_that_has_asked_lie_there_with_half_a_request() -> None:
    with served(10, 0.2) as place, closing(socket.create_connection(place, timeout=30)) as line:
        for _ in range(3):  # whole ones are answered, however many
            assert ask(line)
        line.sendall(WHOLE[:9])
        assert is_closed(line)


def test_an_idle_one_stays_as_long_as_it_is_kept_alive() -> None:
    with served(10, 0.1) as place, closing(socket.create_connection(place, timeout=30)) as line:
        assert ask(line)
        with closing(socket.create_connection(place, timeout=30)) as other:
            assert is_closed(other)  # three times as long has passed for the first
        assert ask(line)


WITH_BODY = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n"


def test_a_body_that_comes_behind_its_answer_asks_for_nothing() -> None:
    with served(10, 0.1, app=answer) as place, closing(socket.create_connection(place, timeout=30)) as line:
        assert ask(line, WITH_BODY)
        line.sendall(b"body")
        with closing(socket.create_connection(place, timeout=30)) as other:
            assert is_closed(other)  # as long has passed for the first
        assert ask(line)
        assert ask(line, WITH_BODY)
        line.sendall(b"body" + WHOLE[:9])
        assert is_closed(line)


def test_nor_does_it_keep_the_connection_for_ever() -> None:
    with served(10, 600, idle=0.2, app=answer) as place, closing(socket.create_connection(place, timeout=30)) as line:
        assert ask(line, WITH_BODY)
        line.sendall(b"body")
        assert is_closed(line)


def test_there_are_only_so_many() -> None:
    with served(2, 600) as place:
        first = [socket.create_connection(place, timeout=30) for _ in range(2)]
        for line in first:
            assert ask(line)
        with closing(socket.create_connection(place, timeout=30)) as third:
            assert is_closed(third)
        first[0].close()
        for _ in range(1000):  # until the server has seen that one left
            with closing(socket.create_connection(place, timeout=30)) as third:
                try:
                    if ask(third):
                        break
                except (ConnectionResetError, BrokenPipeError):
                    continue
        else:
            pytest.fail("nobody took the place of the one that left")
        first[1].close()


def test_no_more_than_the_files_that_may_be_open(monkeypatch: pytest.MonkeyPatch) -> None:
    few = (connections.SPARE + 1, resource.RLIM_INFINITY)
    monkeypatch.setattr(connections.resource, "getrlimit", lambda _: few)
    with served(1000, 600) as place, closing(socket.create_connection(place, timeout=30)) as first:
        assert ask(first)
        with closing(socket.create_connection(place, timeout=30)) as second:
            assert is_closed(second)


def test_our_servers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    configured: list[Any] = []

    class Stop(Exception):
        pass

    def look(app: Any, **settings: Any) -> None:
        configured.append(settings["http"])
        raise Stop

    with Front("127.0.0.1", 0, "http://127.0.0.1:1", "a" * 32) as front:
        configured.append(front._server.config.http)
    monkeypatch.setattr(uvicorn, "Config", look)
    with closing(listen("127.0.0.1", 0)) as opened, pytest.raises(Stop):
        retriever.serve(opened, lambda: None, None, Rules(), lambda _: None, print)  # type: ignore[arg-type,return-value]
    assert [one.__name__ for one in configured] == ["Bounded", "Bounded"]


def test_a_front_still_answers() -> None:
    with served(10, 30) as place:
        with Front("127.0.0.1", 0, "http://{}:{}".format(*place), "a" * 32) as front:
            assert httpx.get(front.url, auth=("me", "a" * 32), timeout=30).text == "ok"
