"""How our servers speak HTTP: by uvicorn, bounded, without a name or a log of requests."""

from __future__ import annotations

import logging

import uvicorn

from sdar_cli.servers.connections import bounded
from sdar_cli.servers.guard import Application


def configuration(
    app: Application, connections: int, *, last_seconds: int, keep_alive_seconds: int = 5
) -> uvicorn.Config:
    """
    Args:
        connections: open at a time; further ones are closed.
        last_seconds: for requests under way when the server ends.
        keep_alive_seconds: how long a connection may idle after an answer.
    """
    # It writes a line for whatever is no HTTP: strangers, who need no token for that, could fill a disk with them.
    log = logging.getLogger("uvicorn.error")
    log.handlers, log.propagate = [logging.NullHandler()], False
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        proxy_headers=False,
        http=bounded(connections),
        timeout_keep_alive=keep_alive_seconds,
        timeout_graceful_shutdown=last_seconds,
    )
