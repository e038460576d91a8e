"""A TCP proxy in front of a server, to be told what goes wrong from now on.

    with TcpProxy(server_port) as proxy:
        client = connect(proxy.url)
        proxy.down()        # connections are refused
        proxy.silent()      # they are taken, and nothing is ever answered
        proxy.slow(0.5)     # each answer comes half a second late
        proxy.error(500)    # each request is answered so, and does not reach the server
        proxy.half()        # each reaches the server, and its answer ends in the middle
        proxy.reset()       # each reaches the server, and is answered by a reset
        proxy.up()

A change ends the connections that are open, so that the next request meets what was asked for. The port stays.
"""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


class TcpProxy:
    """To ``port`` of 127.0.0.1, from a free one; ``requests`` counts the connections that were taken."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._serve: Callable[[socket.socket], None] = self._pass_on
        self._listener: socket.socket | None = None
        self.requests = 0
        self.port = 0
        self._listen()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def up(self) -> None:
        self._become(self._pass_on)

    def down(self) -> None:
        self._stop_listening()
        self._hang_up()

    def silent(self) -> None:
        self._become(lambda client: self._until_closed(client))

    def slow(self, seconds: float) -> None:
        self._become(lambda client: self._pass_on(client, lambda: time.sleep(seconds)))

    def error(self, status: int = 500, body: str = "out of order") -> None:
        text = f"HTTP/1.1 {status} Error\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()
        self._become(lambda client: client.sendall(text) if _request(client) else None)

    def half(self) -> None:
        self._become(self._half)

    def reset(self) -> None:
        self._become(self._reset)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    def _become(self, serve: Callable[[socket.socket], None]) -> None:
        self._serve = serve
        self._hang_up()
        if self._listener is None:
            self._listen()

    def _listen(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(64)
        self.port, self._listener = listener.getsockname()[1], listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _stop_listening(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes the thread in accept
            listener.close()

    def _hang_up(self) -> None:
        with self._lock:
            open_now, self._open = self._open, set()
        for one in open_now:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            if self._listener is not listener:
                client.close()
                return
            self.requests += 1
            threading.Thread(target=self._handle, args=(client, self._serve), daemon=True).start()

    def _handle(self, client: socket.socket, serve: Callable[[socket.socket], None]) -> None:
        self._keep(client)
        with client, contextlib.suppress(OSError):
            serve(client)
        self._forget(client)

    def _pass_on(self, client: socket.socket, wait: Callable[[], None] = lambda: None) -> None:
        with socket.create_connection(("127.0.0.1", self._target)) as server:
            self._keep(server)
            threading.Thread(target=_pump, args=(client, server), daemon=True).start()
            _pump(server, client, wait)
            self._forget(server)

    def _half(self, client: socket.socket) -> None:
        answer = self._answer(client)
        head, separator, body = answer.partition(b"\r\n\r\n")
        client.sendall(head + separator + body[: len(body) // 2])

    def _reset(self, client: socket.socket) -> None:
        self._answer(client)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _answer(self, client: socket.socket) -> bytes:
        """What the server says to the client's next request."""
        with socket.create_connection(("127.0.0.1", self._target)) as server:
            server.sendall(_request(client))
            return _request(server)

    def _until_closed(self, client: socket.socket) -> None:
        while client.recv(65536):
            pass

    def _keep(self, one: socket.socket) -> None:
        with self._lock:
            self._open.add(one)

    def _forget(self, one: socket.socket) -> None:
        with self._lock:
            self._open.discard(one)


def _pump(source: socket.socket, sink: socket.socket, wait: Callable[[], None] = lambda: None) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            wait()
            sink.sendall(data)
    for one in (source, sink):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


def _request(source: socket.socket) -> bytes:
    """One whole message of HTTP/1.1 that says its length; what there is of it where the connection ends."""
    data = b""
    while (end := data.find(b"\r\n\r\n")) < 0 or len(data) < end + 4 + _length(data[:end]):
        part = source.recv(65536)
        if not part:
            return data
        data += part
    return data


def _length(head: bytes) -> int:
    found = LENGTH.search(head)
    return int(found[1]) if found else 0
