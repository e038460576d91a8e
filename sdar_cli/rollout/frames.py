"""Whole messages over a socket, framed as ``multiprocessing.connection.Connection`` at its other end does; a peer
that stops in the middle of one is waited for no longer than a deadline says."""

from __future__ import annotations

import select
import socket
import struct
import time

HEADER = struct.Struct("!i")
"""Bytes that follow."""
MOST_AT_ONCE = 1 << 16


class BadLength(Exception):
    """A header announces more bytes than a message may have, or fewer than none."""


class Frames:
    """One end of a socket, which it owns; ``wait`` and others look at it by ``fileno``."""

    def __init__(self, end: socket.socket, most: int) -> None:
        """
        Args:
            end: the socket.
            most: bytes of a message that is received.
        """
        end.setblocking(False)
        self._socket = end
        self._most = most
        self._length: int | None = None
        """Of the message under way; None while its header is."""
        self._part = bytearray()
        """What is there of the header, or of the message."""

    def fileno(self) -> int:
        return self._socket.fileno()

    def receive(self) -> bytes | None:
        """The next message; None where it is not there as a whole. Nothing behind it is read.

        Raises:
            BadLength: its header is none of ours.
            EOFError: the other end is closed.
            OSError: the connection is broken.
        """
        while self._fill(HEADER.size if self._length is None else self._length):
            whole, self._part = bytes(self._part), bytearray()
            if self._length is not None:
                self._length = None
                return whole
            (self._length,) = HEADER.unpack(whole)
            if not 0 <= self._length <= self._most:
                raise BadLength
        return None

    def send(self, message: bytes | memoryview, deadline: float) -> None:
        """Send a message whole, by the monotonic clock's ``deadline``.

        Raises:
            TimeoutError: the other end did not take it in time.
            OSError: the connection is broken.
        """
        rest = memoryview(HEADER.pack(len(message)) + message)
        while rest:
            try:
                rest = rest[self._socket.send(rest) :]
            except BlockingIOError:
                if not self._wait(select.POLLOUT, deadline - time.monotonic()):
                    raise TimeoutError from None

    def wait(self, seconds: float) -> bool:
        """Whether something came, or the other end closed, within so many seconds."""
        return self._wait(select.POLLIN, seconds)

    def close(self) -> None:
        self._socket.close()

    def _fill(self, length: int) -> bool:
        """Read on until so many bytes are there; False where they are not."""
        while len(self._part) < length:
            try:
                more = self._socket.recv(min(length - len(self._part), MOST_AT_ONCE))
            except BlockingIOError:
                return False
            if not more:
                raise EOFError
            self._part += more
        return True

    def _wait(self, event: int, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self._socket, event)
        return bool(poll.poll(max(0.0, seconds) * 1000))
