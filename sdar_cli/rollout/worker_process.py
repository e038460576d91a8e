"""The pool's end of one worker process: starts it, asks it, reads its answers, and ends it.

What comes back is data of five classes, nothing that a pickle could do beside; what else comes is garbage, and the
worker is given up. Nothing is waited for beyond a deadline, however far a message has come.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

from sdar_cli.errors import EnvironmentSetupError
from sdar_cli.reading import size
from sdar_cli.rollout.answers import checked, garbage, raised
from sdar_cli.rollout.backend import Operation, SlotError
from sdar_cli.rollout.frames import BadLength, Frames
from sdar_cli.rollout.worker import Answer, Failure, Locator, Started
from sdar_envs.base import Observation, Step

MOST_BYTES = 16 << 20
"""Of one message; texts are bounded far below."""
START_SECONDS = 120.0
"""Least time that a worker has to import its environment."""
REST_SECONDS = 5.0
"""For the rest of an answer of which a socket does not hold the whole, where nobody looked when its time was up."""
_CLASSES = {(one.__module__, one.__qualname__): one for one in (Started, Answer, Failure, Observation, Step)}


class _Garbage(Exception):
    """A message that is none of ours."""


class NoAnswer(Exception):
    """The worker is to be given up."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        """A phrase that follows its subject."""


class WorkerProcess:
    """Raises OSError where no process can be started."""

    def __init__(self, hello: tuple[Locator, str]) -> None:
        near, far = socket.socketpair()
        self.frames = Frames(near, MOST_BYTES)
        self.slots: set[int] = set()
        self.resets = 0
        self.waiting_for: set[int] = set()
        self.queue: dict[Operation, dict[int, Any]] = {}
        """What is asked next, when it has answered."""
        self.deadline = 0.0
        self._rests = False
        """Whether the rest of the answer under way has been given time."""
        self._operation: Operation = ""
        """What is under way."""
        self._started = False
        code = (
            "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
            "from sdar_cli.rollout.worker import main; main(int(sys.argv[1]))"
        )
        # One thread each, and the same hash seed in every worker: engines iterate over sets of strings.
        settings = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", code, str(far.fileno()), json.dumps(sys.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[far.fileno()],
                env=os.environ | settings,
            )
        except OSError:
            self.frames.close()
            raise
        finally:
            far.close()
        with contextlib.suppress(OSError):  # a worker that died at once is noticed when it is waited for
            self._send(hello, time.monotonic() + START_SECONDS)

    def await_start(self, seconds: float) -> None:
        """Wait until the environment is imported.

        Raises:
            NoAnswer: it is not; the process is ended.
            EnvironmentSetupError: the environment's own.
        """
        if self._started:
            return
        try:
            self._await_word(seconds)
        except NoAnswer:
            self.kill()
            raise
        self._started = True

    def _await_word(self, seconds: float) -> None:
        """The first one."""
        deadline = time.monotonic() + seconds
        while (message := self._message()) is None:
            if not self.frames.wait(deadline - time.monotonic()) or time.monotonic() > deadline:
                raise NoAnswer(f"said nothing for {seconds:g} s")
        if not isinstance(message, Started):
            raise NoAnswer(garbage("no word of its start").reason)

    def take_over(self, other: WorkerProcess) -> None:
        """What another was asked and never got."""
        self.slots, self.queue = other.slots, other.queue

    def enqueue(self, operation: Operation, slot: int, payload: Any) -> None:
        self.queue.setdefault(operation, {})[slot] = payload
        self.slots.add(slot)

    def send_next(self, timeout: float) -> None:
        """Send what is queued, unless it is at work.

        Raises:
            EnvironmentSetupError: a task holds what cannot be sent to another process.
        """
        if self.waiting_for or not self.queue:
            return
        self._operation = next(iter(self.queue))
        requests = self.queue.pop(self._operation)
        self.waiting_for = set(requests)
        self.resets += len(requests) if self._operation == "reset" else 0
        self._allow(timeout)
        try:
            self._send((self._operation, requests), self.deadline)
        except OSError:  # one that is dead, or takes nothing, is noticed when its answer is read
            pass
        except Exception as error:
            raise EnvironmentSetupError(
                f"a task of the environment cannot be sent to a worker process, as pickling it {raised(error)}: keep "
                "plain values in Task.data"
            ) from error

    def late(self, timeout: float) -> bool:
        """Whether the answer takes more than half of its time."""
        return time.monotonic() > self.deadline - timeout / 2

    def receive(self, answers: dict[int, Any], timeout: float) -> bool:
        """Take one answer; False where it is not there as a whole.

        Raises:
            NoAnswer: there will be none.
            EnvironmentSetupError: the environment's own.
        """
        message = self._message()
        if message is None:
            return False
        if not isinstance(message, Answer) or message.slot not in self.waiting_for:
            raise NoAnswer(garbage("to a question that nobody asked").reason)
        answer = checked(self._operation, message.result)
        if isinstance(answer, SlotError):
            raise NoAnswer(answer.reason)
        answers[message.slot] = answer
        self.waiting_for.discard(message.slot)
        self._allow(timeout)
        return True

    def check_deadline(self, now: float, timeout: float, rest: bool) -> None:
        """
        Args:
            now: when it was seen what had come.
            rest: a part of the answer had, and nobody looked when its time was up: once, the rest has some more.

        Raises:
            NoAnswer: its time is up.
        """
        if now < self.deadline:
            return
        if not rest or self._rests:
            raise NoAnswer(f"timed out after {timeout:g} s")
        self.deadline, self._rests = time.monotonic() + REST_SECONDS, True

    def _allow(self, timeout: float) -> None:
        """So long for the next answer."""
        self.deadline, self._rests = time.monotonic() + timeout, False

    def memory(self) -> int:
        """Bytes that the process holds now; 0 where it is gone."""
        try:
            pages = Path(f"/proc/{self._process.pid}/statm").read_text(encoding="ascii").split()[1]
        except (OSError, IndexError):
            return 0
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def hang_up(self) -> None:
        self.frames.close()

    def kill(self, grace: float = 0.0) -> None:
        self.frames.close()
        try:
            self._process.wait(grace)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()

    def _send(self, message: Any, deadline: float) -> None:
        """Raises OSError where it is not taken."""
        self.frames.send(ForkingPickler.dumps(message), deadline)

    def _message(self) -> Any:
        """What the worker says, unless that is why it will say nothing more; None while it says nothing.

        Raises:
            NoAnswer: it failed, ended, or said what is no message of ours.
            EnvironmentSetupError: the environment's own.
        """
        try:
            message = self._read()
        except (EOFError, OSError):
            raise NoAnswer(self._ending()) from None
        except _Garbage as error:
            raise NoAnswer(garbage(str(error)).reason) from None
        if isinstance(message, Failure):
            if message.setup is not None:
                raise EnvironmentSetupError(message.setup)
            raise NoAnswer(message.reason)
        return message

    def _read(self) -> Any:
        """A message, or None while it is not there as a whole.

        Raises:
            _Garbage: it is none of ours.
            EOFError, OSError: there will be none.
        """
        try:
            data = self.frames.receive()
        except BadLength:
            raise _Garbage(f"a message of more than {size(MOST_BYTES)}") from None
        if data is None:
            return None
        try:
            message = _Unpickler(io.BytesIO(data)).load()
            hash(message.slot) if isinstance(message, Answer) else None
        except Exception as error:
            raise _Garbage(f"a message that {raised(error)}") from None
        if not isinstance(message, Started | Answer | Failure):
            raise _Garbage("no message of a worker's")
        return message

    def _ending(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._process.wait(5.0)
            if code >= 0:
                return f"crashed (exit status {code})"
            with contextlib.suppress(ValueError):  # of signals without a name
                return f"crashed ({signal.Signals(-code).name})"
            return f"crashed (signal {-code})"
        return "closed its pipe"


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _CLASSES:
            raise pickle.UnpicklingError(f"{module}.{name} is not expected")
        return _CLASSES[module, name]
