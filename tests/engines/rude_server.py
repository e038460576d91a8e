"""A server of raw bytes: each request gets what comes next, and its connection is closed."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

Reply = bytes | Callable[[socket.socket], None]


def reply(body: bytes, *, status: str = "200 OK", length: int | None = -1, extra: str = "") -> bytes:
    """A response; ``length`` −1 is the true one, None: none, so that the body ends with the connection."""
    told = "" if length is None else f"Content-Length: {len(body) if length == -1 else length}\r\n"
    return f"HTTP/1.1 {status}\r\n{told}{extra}Connection: close\r\n\r\n".encode() + body


def answered(value: Any) -> bytes:
    return reply(json.dumps(value).encode())


def completion(ids: Any = (3, 2), logprobs: Any = (-0.5, -0.5)) -> bytes:
    choice = {"token_ids": ids, "logprobs": {"token_logprobs": logprobs}}
    return answered({"choices": [choice]})


def drip(head: bytes, byte: bytes) -> Callable[[socket.socket], None]:
    """A byte now and then, for ever."""

    def send(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(byte)
            time.sleep(0.05)

    return send


class RudeServer:
    """``replies`` are given in order, the last one for ever."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.requests = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            read = b""
            while b"\r\n\r\n" not in read:
                read += connection.recv(65536)
            head, _, body = read.partition(b"\r\n\r\n")
            length = next(
                (
                    int(line.split(b":")[1])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length")
                ),
                0,
            )
            while len(body) < length:
                body += connection.recv(65536)
            self.requests += 1
            given = self.replies[0] if len(self.replies) == 1 else self.replies.pop(0)
            connection.sendall(given) if isinstance(given, bytes) else given(connection)
