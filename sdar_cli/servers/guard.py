"""What stands before every server of ours: who may ask, how much at once, and for how long.

An ASGI application around another. The file needs Python alone, so that it can be copied to a machine without this
package: vLLM takes ``VllmGuard`` by ``--middleware sdar_cli.servers.guard.VllmGuard``, and every route but
``/health`` then asks for ``VLLM_API_KEY``.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import os
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

HEALTH = "/health"
"""Answered without a token: it says no more than that something is there."""
LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
ADDRESSES = 10_000
"""Senders whose rate is remembered."""


@dataclass(frozen=True, slots=True)
class Rules:
    token: str | None = None
    """As ``Authorization: Bearer TOKEN``, or as the password of ``Basic``; None: whoever reaches the server may ask."""
    hosts: frozenset[str] | None = LOOPBACK
    """Names under which it may be asked for, without port; None: any. Keeps a page in somebody's browser from asking a
    loopback server under a name of its own (DNS rebinding)."""
    max_bytes: int = 8 << 20
    """Of a request's body."""
    seconds: float = 30.0
    """In which a request's body must be here."""
    at_once: int = 1024
    """Requests under way."""
    rate: float = 2000.0
    """Requests a second of one address, on average over a second."""
    login: bool = False
    """Whether a browser asks its user for the token."""


class Guard:
    """Lets through what follows the rules; refusals are ``{"detail": "one sentence"}``."""

    def __init__(self, app: Application, rules: Rules) -> None:
        self.app, self.rules = app, rules
        self._under_way = 0
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":
            await receive()
            return await send({"type": "websocket.close", "code": 1008})
        refusal = self._refusal(scope)
        if refusal is not None:
            return await _refuse(send, *refusal)
        self._under_way += 1
        try:
            body = await self._body(scope, receive)
            if not isinstance(body, bytes):
                return await _refuse(send, *body)
            return await self.app(scope, _replayed(body, receive), send)
        finally:
            self._under_way -= 1

    def _refusal(self, scope: Scope) -> tuple[int, str, dict[str, str]] | None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        rules = self.rules
        host = headers.get("host", "")
        if rules.hosts is not None and _name(host) not in rules.hosts:
            return 403, "this server is asked for under another name: use the address that it printed", {}
        origin = headers.get("origin")
        if origin is not None and _host_of(origin) != host.lower():
            return 403, "a page of another site asked: open this server's own address", {}
        if not self._in_time(str((scope.get("client") or ("",))[0])):
            return 429, f"more than {rules.rate:g} requests a second came from here: slow down", {"retry-after": "1"}
        if self._under_way >= rules.at_once:
            return 429, f"{rules.at_once} requests are under way: try again", {"retry-after": "1"}
        if rules.token is not None and scope["path"] != HEALTH and not _holds(headers, rules.token):
            wanted = {"www-authenticate": 'Basic realm="sdar", charset="UTF-8"' if rules.login else "Bearer"}
            return 401, "the token is missing or wrong: send it as Authorization: Bearer", wanted
        return None

    def _in_time(self, address: str) -> bool:
        """One request from a bucket that holds a second's worth."""
        now, rate = time.monotonic(), self.rules.rate
        left, since = self._buckets.pop(address, (max(rate, 1.0), now))
        left = min(max(rate, 1.0), left + (now - since) * rate)
        self._buckets[address] = (left - 1.0 if left >= 1.0 else left, now)
        while len(self._buckets) > ADDRESSES:
            self._buckets.popitem(last=False)
        return left >= 1.0

    async def _body(self, scope: Scope, receive: Receive) -> bytes | tuple[int, str, dict[str, str]]:
        """The whole body, or why it is refused; no more than the limit is ever held."""
        limit = self.rules.max_bytes
        large = 413, f"the body is larger than {limit} bytes: send less at a time", {"connection": "close"}
        announced = next((value for name, value in scope["headers"] if name.lower() == b"content-length"), b"")
        if announced.isdigit() and (len(announced) > 20 or int(announced) > limit):
            return large
        body = bytearray()

        async def read() -> bool:
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return False
                body.extend(message.get("body", b""))
                if len(body) > limit:
                    return True
                more = message.get("more_body", False)
            return True

        try:
            whole = await asyncio.wait_for(read(), self.rules.seconds)
        except TimeoutError:
            sentence = f"the body was not here after {self.rules.seconds:g} s: send it faster"
            return 408, sentence, {"connection": "close"}
        if not whole:
            return 400, "the request ended before its body: send it whole", {}
        return large if len(body) > limit else bytes(body)


class VllmGuard(Guard):
    """For ``vllm serve``: the key guards every route, also those that load weights."""

    def __init__(self, app: Application) -> None:
        key = os.environ.get("VLLM_API_KEY", "")
        if not key:
            raise RuntimeError("VllmGuard needs VLLM_API_KEY: set it to a secret for the server and for training")
        super().__init__(app, Rules(key, hosts=None, max_bytes=64 << 20, at_once=8192, rate=20_000.0))


def is_loopback(host: str) -> bool:
    """Whether what listens there is reached from this machine alone."""
    import ipaddress

    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _name(host: str) -> str:
    """A Host header without its port, in small letters; all of 127/8 as one."""
    name = host.lower()
    if not name.endswith("]"):
        name = name.rpartition(":")[0] or name
    return "127.0.0.1" if name != "localhost" and not name.startswith("[") and is_loopback(name) else name


def _host_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _holds(headers: dict[str, str], token: str) -> bool:
    kind, _, given = headers.get("authorization", "").partition(" ")
    if kind.lower() == "basic":
        try:
            given = base64.b64decode(given, validate=True).decode().partition(":")[2]
        except ValueError:  # letters that are none of base64's, or bytes that are none of UTF-8's
            return False
    elif kind.lower() != "bearer":
        return False
    return hmac.compare_digest(given.strip().encode("utf-8", "replace"), token.encode())


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The body once, and then whatever comes: the application sees when its client leaves."""
    given = False

    async def replay() -> MutableMapping[str, Any]:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def _refuse(send: Send, status: int, sentence: str, more: dict[str, str]) -> None:
    content = json.dumps({"detail": sentence}).encode()
    headers = {"content-type": "application/json", "content-length": str(len(content)), **more}
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": content})
