"""A listening socket, and its address as a URL."""

from __future__ import annotations

import socket

from sdar_cli.errors import RunError

BACKLOG = 2048


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 is any free one.

    Raises:
        RunError: the port is taken, or the host is not an address of this machine.
    """
    try:
        family, _, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # asyncio switches Nagle's delay off, 40 ms an answer, only where the protocol is said to be TCP.
        opened = socket.socket(family, socket.SOCK_STREAM, protocol)
        try:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind(address)
            opened.listen(BACKLOG)
        except BaseException:
            opened.close()
            raise
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RunError(f"{host} port {port} cannot be opened ({reason}): give another with --port") from None
    return opened


def url(opened: socket.socket, host: str) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{opened.getsockname()[1]}"
