"""A retrieval server on 127.0.0.1 that misbehaves as it is told, for the tests of Search-QA."""

from __future__ import annotations

import json
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Mood = str | int | bytes | None
"""``drop`` (close the connection), ``half`` (announce more than is sent), ``hang`` (answer when ``release`` is set),
``drip`` (a byte at a time, for ever), a status, the bytes of an answer with status 200; None: answer well."""


def good(*contents: str) -> bytes:
    documents = [
        {"document": {"id": str(n), "contents": text}, "score": 1.0 / (n + 1)} for n, text in enumerate(contents)
    ]
    return json.dumps({"result": [documents]}).encode()


class Server(ThreadingHTTPServer):
    """Answers each POST as the next of ``plan`` says and, when that is empty, as ``mood`` does.

    ``mood`` gets the query and how often it was asked before, so that an answer does not depend on who comes first.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, documents: Callable[[str], list[str]], mood: Callable[[str, int], Mood]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.documents, self.mood = documents, mood
        self.plan: deque[Mood] = deque()
        self.seen: list[dict[str, Any]] = []
        self.asked: Counter[str] = Counter()
        self.release = threading.Event()
        self.together = self.most_together = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/retrieve"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is expected."""


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        query = body["query"] if "query" in body else body["queries"][0]
        with server.lock:
            server.together += 1
            server.most_together = max(server.most_together, server.together)
            server.seen.append(body | {"path": self.path})
            step = server.plan.popleft() if server.plan else server.mood(query, server.asked[query])
            server.asked[query] += 1
        try:
            self._answer(step, query)
        finally:
            with server.lock:
                server.together -= 1

    def _answer(self, step: Mood, query: str) -> None:
        if step == "drop":
            self.close_connection = True
            return
        if step == "hang":
            self.server.release.wait(60.0)
        if isinstance(step, int):
            self._send(step, b'{"detail": "as it was told"}')
            return
        if step in ("half", "drip"):
            self.send_response(200)
            self.send_header("content-length", "1000000")
            self.end_headers()
            self.wfile.write(b'{"result"')
            while step == "drip" and not self.server.release.wait(0.02):
                self.wfile.write(b" ")
            self.close_connection = True
            return
        self._send(200, step if isinstance(step, bytes) else good(*self.server.documents(query)))

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def serving(
    documents: Callable[[str], list[str]] = lambda query: [f"about {query}"],
    mood: Callable[[str, int], Mood] = lambda query, before: None,
) -> Iterator[Server]:
    server = Server(documents, mood)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.release.set()
        server.shutdown()
        thread.join()
        server.server_close()
