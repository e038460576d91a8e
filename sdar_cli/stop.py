"""What signals asked of this process, and how long it may take to do it: one object a process, ``STOP``.

    with STOP.guard():                  # around a command: SIGINT, SIGTERM and SIGUSR1 are heard from here on
        ...                             # they leave at once, as KeyboardInterrupt
        with STOP.patiently(prepare):   # the first one only calls ``prepare``; the second leaves at once
            ...
        with STOP.held():               # for an instant: what comes is answered at its end
            ...
    sys.exit(STOP.code)

A wish is never forgotten: whoever cannot be sure that the exception came through (libraries swallow some) asks
``STOP.check()``. Imports nothing of weight, as it is there before anything else.
"""

from __future__ import annotations

import atexit
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from sdar_cli.errors import UserError

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
GRACE = 60.0
"""Seconds from the first signal to the end, where nobody says otherwise."""
VARIABLE = "SDAR_GRACE"
"""Environment variable with such seconds."""
TWICE_TOLD = 1.0
"""Seconds within which a second signal is the same wish, in a process that another one started: a cluster tells all
processes of a job, and a launcher or a worker passes on what it was told."""
LAST_WORDS = 5.0
"""Seconds, at most, that a process on its way out waits for others, such as a tracking server."""


class Stop:
    """See the module docstring."""

    def __init__(self) -> None:
        self.grace = GRACE
        self.shared = "RANK" in os.environ
        """Whether another process of sdar started this one."""
        self._guards = False
        self._before: dict[int, object] = {}
        self._forget()

    def _forget(self) -> None:
        self.signal: int | None = None
        """The first that came."""
        self.deadline = math.inf
        """By the monotonic clock: when the process is to be gone."""
        self.raised = False
        """Whether a KeyboardInterrupt was raised for it."""
        self.said = False
        """Whether the user has been told how to go on."""
        self.since = math.inf
        """By the same clock: when the first came."""
        self._react: Callable[[], None] | None = None
        self._over = False
        self._held = 0
        self._due = False

    @property
    def asked(self) -> bool:
        return self.signal is not None

    @property
    def code(self) -> int:
        """The exit code of whoever left because it was asked to."""
        return 128 + (signal.SIGINT if self.signal is None else self.signal)

    @property
    def name(self) -> str:
        return "Ctrl-C" if self.signal in (None, signal.SIGINT) else signal.Signals(self.signal).name

    def left(self, most: float = LAST_WORDS) -> float:
        """Seconds that may still be spent on waiting for others; ``most`` where nobody asked this process to leave."""
        return most if self.signal is None else max(0.0, min(most, self.deadline - time.monotonic()))

    def check(self) -> None:
        """Raises KeyboardInterrupt where it was asked for, and is not over."""
        if self.asked and not self._over and self._react is None:
            self._raise()

    def hear(self, number: int) -> bool:
        """Note a signal; whether it is the first."""
        if self.asked:
            return False
        self.signal, self.since = int(number), time.monotonic()
        self.deadline = self.since + self.grace
        return True

    def install(self) -> None:
        """Hear signals until the process ends; only the main thread can."""
        if threading.current_thread() is not threading.main_thread():
            return
        before = {number: signal.signal(number, self._handle) for number in SIGNALS}
        if not self._before:
            self._before = before

    def uninstall(self) -> None:
        """Give signals back to whom they belonged, but for those that somebody else has taken meanwhile."""
        if threading.current_thread() is not threading.main_thread():
            return
        handlers, self._before = self._before, {}
        for number, before in handlers.items():
            if signal.getsignal(number) == self._handle:
                signal.signal(number, signal.SIG_DFL if before is None else before)

    @contextmanager
    def guard(self) -> Iterator[Stop]:
        """Around a command; one within another's is the other's."""
        if self._guards:
            yield self
            return
        self._forget()
        self.grace = GRACE
        stays = bool(self._before)
        self.install()
        self._guards = True
        try:
            yield self
        finally:
            self._guards = False
            if not stays:
                self.uninstall()
            self._forget()

    @contextmanager
    def patiently(self, react: Callable[[], None]) -> Iterator[None]:
        """Inside, the first signal calls ``react``, in the middle of whatever runs; a second one leaves at once."""
        self._react = react
        try:
            if self.asked:  # before, when the exception came to nothing
                react()
            yield
        finally:
            self._react = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """For what takes an instant and must not be torn: an exception that is due is raised behind it."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
            if not self._held and self._due:
                self._due = False
                self._raise()

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Libraries that are interrupted in compiled code end with errors of their own, which are taken for it here."""
        try:
            yield
        except Exception as error:
            if self.raised:
                raise KeyboardInterrupt from error
            raise

    def end(self) -> None:
        """What was to be done is done: a first signal changes nothing any more."""
        self._over = True

    def leave(self, code: int) -> None:
        """The process does nothing but end from here on: a signal changes its exit code no more."""

        def deaf() -> None:
            for number in SIGNALS:
                signal.signal(number, signal.SIG_IGN)

        for number in SIGNALS:
            signal.signal(number, lambda *_: os._exit(code))
        # Python gives its handlers up while it ends, and would die of the signal then.
        atexit.register(deaf)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        first = self.hear(number)
        if not first and self.shared and time.monotonic() - self.since < TWICE_TOLD:
            return
        if first and self._react is not None:
            self._react()
        elif not (first and self._over):
            self._raise()

    def _raise(self) -> None:
        # No subclass: subprocess waits for its child for ever at any but the very class.
        if self._held:
            self._due = True
            return
        self.raised = True
        raise KeyboardInterrupt


STOP = Stop()


def take_grace(option: float | None) -> None:
    """The seconds that ``--grace``, else the environment, gives.

    Raises:
        UserError: the environment's is no number of seconds.
    """
    if option is None and (text := os.environ.get(VARIABLE)) is not None:
        try:
            option = float(text)
        except ValueError:
            option = math.nan
        if not 0 <= option < math.inf:
            raise UserError(f"{VARIABLE} is {text!r}, but must be seconds, 0 or more: correct it, or unset it")
    if option is not None:
        STOP.grace = option
