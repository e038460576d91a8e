"""The proxy does what it is told, to a server that says each path back."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
from tcp_proxy import TcpProxy


class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen: list[str] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append(body.decode())
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo) as made:
        made.daemon_threads = True
        thread = threading.Thread(target=made.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield made.server_address[1]
        made.shutdown()
        thread.join()


@pytest.fixture
def proxy(server: int) -> Iterator[TcpProxy]:
    Echo.seen.clear()
    with TcpProxy(server) as proxy:
        yield proxy


def test_what_it_is_told(proxy: TcpProxy) -> None:
    with httpx.Client(base_url=proxy.url, timeout=30) as client:

        def say(text: str) -> str:
            answer = client.post("/", content=text)
            answer.raise_for_status()
            return answer.text

        assert say("one") == "one"
        for fault, error in (
            (proxy.down, httpx.ConnectError),
            (proxy.error, httpx.HTTPStatusError),
            (proxy.half, httpx.RemoteProtocolError),
            (proxy.reset, httpx.ReadError),
        ):
            fault()
            with pytest.raises(error):
                say(fault.__name__)
            proxy.up()
            assert say("up") == "up"
        assert Echo.seen == ["one", "up", "up", "half", "up", "reset", "up"], "down and error kept it from the server"


def test_slow_and_silent(proxy: TcpProxy) -> None:
    proxy.slow(0.3)
    began = time.monotonic()
    assert httpx.post(proxy.url, content="x", timeout=30).text == "x"
    assert time.monotonic() - began >= 0.3
    proxy.silent()
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(proxy.url, content="y", timeout=0.2)
    assert Echo.seen == ["x"]
