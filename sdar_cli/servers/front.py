"""A guarded door to a server of this machine: what follows the rules is passed on, answers stream back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
import uvicorn

from sdar_cli.servers.configuration import configuration
from sdar_cli.servers.guard import LOOPBACK, Guard, Receive, Rules, Scope, Send
from sdar_cli.servers.listen import listen, url

BETWEEN_HOPS = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "proxy-authenticate"}
"""Headers that belong to one connection."""
OURS = {"authorization", "origin", "host", "content-length"}
"""Headers that the server behind is not told, or that are made anew."""
ADDRESSES = {"location", "content-location"}
"""Headers that hold a URL, which the server behind writes with its own address."""
SECONDS = 120.0
"""Of silence of the server behind."""
CONNECTIONS = 512
LAST_SECONDS = 2


class Front:
    """Serves ``behind`` on another address; a context manager."""

    def __init__(self, host: str, port: int, behind: str, token: str) -> None:
        """Raises RunError where the address cannot be opened."""
        self._opened = listen(host, port)
        self.url = url(self._opened, host)
        self._behind = httpx.URL(behind)
        self._transport: httpx.AsyncHTTPTransport
        rules = Rules(token, hosts=None, max_bytes=64 << 20, seconds=60.0, at_once=256, rate=200.0, login=True)
        self._server = uvicorn.Server(
            configuration(Guard(self._pass_on, rules), CONNECTIONS, last_seconds=LAST_SECONDS)
        )
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> Front:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self._opened.close()

    async def _serve(self) -> None:
        # Not a client, which would keep the cookies of one visitor for the next.
        async with httpx.AsyncHTTPTransport() as self._transport:
            await self._server.serve(sockets=[self._opened])

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The guard has the body whole, in one message."""
        body = (await receive())["body"]
        left_out = BETWEEN_HOPS | OURS
        headers = [(name, value) for name, value in scope["headers"] if name.decode("latin-1").lower() not in left_out]
        query = scope.get("query_string", b"")
        path = scope.get("raw_path", scope["path"].encode()) + (b"?" + query if query else b"")
        try:
            request = httpx.Request(
                scope["method"],
                self._behind.copy_with(raw_path=path),
                headers=headers,
                content=body or None,
                extensions={"timeout": httpx.Timeout(SECONDS).as_dict()},
            )
        except httpx.InvalidURL:
            await _empty(send, 400)
            return
        try:
            answer = await self._transport.handle_async_request(request)
        except httpx.HTTPError:
            await _empty(send, 502)
            return
        try:
            kept = [
                (name, within(value, self._behind) if name.decode("latin-1").lower() in ADDRESSES else value)
                for name, value in answer.headers.raw
                if name.decode("latin-1").lower() not in BETWEEN_HOPS
            ]
            await send(_start(answer.status_code, kept))
            try:
                async for chunk in answer.stream:  # type: ignore[union-attr]
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            except httpx.HTTPError:
                return  # uvicorn closes the connection of an answer without an end, so that nobody takes it for whole
            await send({"type": "http.response.body", "body": b""})
        finally:
            await answer.aclose()


def within(address: bytes, behind: httpx.URL) -> bytes:
    """A URL of the server behind without its host, so that a browser stays at the front; others as they are."""
    try:
        found = urlsplit(address.decode("latin-1"))
        place = _place(found.hostname or "", found.port)
    except ValueError:
        return address
    if not found.netloc or found.scheme not in ("http", "") or place != _place(behind.host, behind.port):
        return address
    path = found.path or "/"
    if path.startswith("//"):  # which would be read as the name of a host
        path = f"/.{path}"
    return urlunsplit(("", "", path, found.query, found.fragment)).encode("latin-1")


def _place(host: str, port: int | None) -> tuple[str, int]:
    """Where HTTP is spoken; all names of this machine are one."""
    return "" if host in LOOPBACK or host == "::1" else host, port or 80


async def _empty(send: Send, status: int) -> None:
    await send(_start(status, [(b"content-length", b"0")]))
    await send({"type": "http.response.body", "body": b""})


def _start(status: int, headers: list[tuple[bytes, bytes]]) -> MutableMapping[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": headers}
