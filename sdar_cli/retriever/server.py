"""The server's life: a socket, an index that is loaded while requests get 503, answers, Ctrl-C."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Callable

import uvicorn

from sdar_cli.retriever.app import Loaded, build_app
from sdar_cli.retriever.protocol import Limits
from sdar_cli.retriever.service import Service
from sdar_cli.servers.configuration import configuration
from sdar_cli.servers.guard import Rules

KEEP_ALIVE_SECONDS = 75
"""For idle connections, longer than clients keep theirs: a request then never meets a connection being closed."""
LAST_SECONDS = 10
CONNECTIONS = 4096


def serve(
    opened: socket.socket,
    load: Callable[[], Service],
    limits: Limits,
    rules: Rules,
    announce: Callable[[Service], None],
    say: Callable[[str], None],
) -> None:
    """Answer requests until interrupted; ``announce`` is called once searches are answered, ``say`` with the reason
    why one failed.

    Raises:
        KeyboardInterrupt: on Ctrl-C or a request to terminate, after the requests under way.
        Exception: whatever ``load`` raises.
    """
    loaded = Loaded()
    app = build_app(loaded, limits, rules, say)
    server = uvicorn.Server(
        configuration(app, CONNECTIONS, last_seconds=LAST_SECONDS, keep_alive_seconds=KEEP_ALIVE_SECONDS)
    )
    failure: list[BaseException] = []

    def load_and_announce() -> None:
        try:
            service = load()
            loaded.service = service
            announce(service)
        except BaseException as error:
            failure.append(error)
            server.should_exit = True

    loader = threading.Thread(target=load_and_announce, name="loader", daemon=True)
    loader.start()
    try:
        server.run(sockets=[opened])
    except KeyboardInterrupt:
        _leave_if_loading(loader)
        raise
    if failure:
        raise failure[0]


def _leave_if_loading(loader: threading.Thread) -> None:
    """End the process now if the loader is deep in a library: Python's own end would pull its memory away."""
    loader.join(timeout=1)
    if loader.is_alive():
        sys.stderr.write("error: interrupted\n")
        sys.stderr.flush()
        os._exit(130)
