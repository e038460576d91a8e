"""A front shows nothing of the address behind it."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import urljoin

import httpx
import pytest

from sdar_cli.servers.front import Front, within

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
