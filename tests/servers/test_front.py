"""A front shows nothing of the address behind it."""

from __future__ import annotations

import logging
import socket
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import urljoin

import httpx
import pytest

from sdar_cli.servers.front import Front, within
from sdar_cli.servers.listen import listen

OURS = "http://node7:5000/page?x=1"
PLACES = [
    ("http://127.0.0.1:41/a/b?c=d#e", "http://node7:5000/a/b?c=d#e"),
    ("http://localhost:41", "http://node7:5000/"),
    ("http://127.0.0.1:41?c", "http://node7:5000/?c"),
    ("HTTP://127.0.0.1:41/a", "http://node7:5000/a"),
    ("/a", "http://node7:5000/a"),
    ("b", "http://node7:5000/b"),
    ("http://127.0.0.1:41//evil.example/a", "http://node7:5000//evil.example/a"),
    ("http://127.0.0.1:42/a", "http://127.0.0.1:42/a"),
    ("http://127.0.0.1/a", "http://127.0.0.1/a"),
    ("https://mlflow.org/docs", "https://mlflow.org/docs"),
    ("//127.0.0.1:41/a", "http://node7:5000/a"),
    ("http://[", None),
    ("http://127.0.0.1:x/a", None),
    ("http://127.0.0.1:41/\xe9", "http://node7:5000/\xe9"),
]


TOKEN = "a" * 32


@pytest.mark.parametrize(("said", "led"), PLACES)
def test_an_address_behind_becomes_one_of_the_front(said: str, led: str | None) -> None:
    rewritten = within(said.encode("latin-1"), httpx.URL("http://127.0.0.1:41")).decode("latin-1")
    assert rewritten == said if led is None else urljoin(OURS, rewritten) == led


def test_a_redirect_stays_at_the_front() -> None:
    class Redirects(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302 if self.path == "/" else 200)
            if self.path == "/":
                self.send_header("Location", f"http://{self.headers['Host']}/next?a=b")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Redirects) as behind:
        thread = threading.Thread(target=behind.serve_forever)
        thread.start()
        try:
            with Front("127.0.0.1", 0, f"http://127.0.0.1:{behind.server_port}", TOKEN) as front:
                found = httpx.get(front.url, auth=("me", TOKEN), follow_redirects=True, timeout=30)
                assert found.status_code == 200 and str(found.url) == f"{front.url}/next?a=b"
        finally:
            behind.shutdown()
            thread.join()


def test_nobody_fills_the_terminal(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    """The server behind closes in the middle of its answer, which is no whole one then; a stranger sends nonsense."""
    caplog.set_level(logging.DEBUG, "uvicorn")

    def half() -> None:
        for _ in range(2):
            line, _ = opened.accept()
            with line:
                line.recv(65536)
                line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")

    with listen("127.0.0.1", 0) as opened:
        thread = threading.Thread(target=half)
        thread.start()
        with Front("127.0.0.1", 0, f"http://127.0.0.1:{opened.getsockname()[1]}", TOKEN) as front:
            for _ in range(2):
                with pytest.raises(httpx.RemoteProtocolError):
                    httpx.get(front.url, auth=("me", TOKEN), timeout=30)
            for sent in (b"nonsense\r\n\r\n", b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", b"\x16\x03\x01\r\n\r\n"):
                with closing(socket.create_connection(("127.0.0.1", int(front.url.rpartition(":")[2])), 30)) as line:
                    line.sendall(sent)
                    assert line.recv(1000).startswith(b"HTTP/1.1 400")
        thread.join()
    assert capfd.readouterr().err == "" and not [one for one in caplog.records if one.name.startswith("uvicorn")]
