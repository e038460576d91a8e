"""Many episodes at once: slots of one environment, in this process or spread over worker processes.

    with Pool(Alfworld, options, workers=2, timeout=120) as pool:
        first = pool.reset({0: task, 1: task})          # slot → Observation or SlotError
        steps = pool.step({0: "look", 1: "inventory"})  # slot → Step or SlotError

Slot ``s`` lives in worker ``s % workers`` for good. A worker that crashes, hangs or raises is replaced: all
of its slots answer ``SlotError`` in that call, the others go on, and the next ``reset`` finds a fresh worker.
An ``EnvironmentSetupError`` is raised here instead, because it would come back every time.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import multiprocessing.connection
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Any

from sdar_cli.errors import EnvironmentSetupError, RunFailed
from sdar_cli.rollout.worker import Answer, Failure, Locator, Operation, Slots, Started
from sdar_envs.base import Environment, Observation, Options, Step, Task

START_SECONDS = 120.0
"""Least time that a worker has to import its environment."""
RECYCLE_RESETS = 2000
"""Resets after which a worker without live episodes is replaced, so that an engine's leaks stay bounded."""


@dataclass(frozen=True, slots=True)
class SlotError:
    """The episode in this slot is lost; ``reason`` is a phrase such as ``timed out after 120 s``."""

    reason: str


class _State(Enum):
    LIVE = "live"
    OVER = "over"
    LOST = "lost"


class Pool:
    """Steps many episodes of one environment. A context manager; see the module docstring.

    ``timeout`` is in seconds, for one operation of one slot. Workers start in the background when the pool
    is made; an inline environment has none, and no timeout.
    """

    def __init__(self, environment: type[Environment], options: Options, *, workers: int, timeout: float) -> None:
        if workers < 1 or timeout <= 0:
            raise ValueError(f"a pool needs workers of at least 1 and a timeout above 0, not {workers}, {timeout}")
        self._backend: _Inline | _Workers
        if environment.isolation == "inline":
            self._backend = _Inline(environment, options)
        else:
            self._backend = _Workers(environment, options, workers, timeout)
        self._states: dict[int, _State] = {}

    def reset(self, tasks: Mapping[int, Task]) -> dict[int, Observation | SlotError]:
        """Start an episode in each of these slots; a slot is made when first named, and reused after."""
        self.release(tasks)
        self._backend.recycle({slot for slot, state in self._states.items() if state is _State.LIVE})
        return self._call("reset", tasks)

    def step(self, actions: Mapping[int, str]) -> dict[int, Step | SlotError]:
        """Send one action to the live episode of each of these slots."""
        for slot in actions:
            if self._states.get(slot, _State.OVER) is _State.OVER:
                raise ValueError(f"slot {slot} has no live episode: reset it before it is stepped")
        lost = {slot for slot in actions if self._states[slot] is _State.LOST}
        answers = self._call("step", {slot: text for slot, text in actions.items() if slot not in lost})
        return {slot: SlotError("its worker was replaced") if slot in lost else answers[slot] for slot in actions}

    def release(self, slots: Iterable[int]) -> None:
        """Say that these episodes are over, though the environment did not end them (a turn limit)."""
        for slot in slots:
            self._states[slot] = _State.OVER

    def close(self) -> None:
        """End the workers; safe to call twice."""
        self._backend.close()

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _call(self, operation: Operation, requests: Mapping[int, Any]) -> dict[int, Any]:
        answers = self._backend.call(operation, requests)
        for slot, answer in answers.items():
            if isinstance(answer, SlotError):
                if slot in requests or self._states.get(slot) is _State.LIVE:
                    self._states[slot] = _State.LOST
            else:
                over = isinstance(answer, Step) and answer.done
                self._states[slot] = _State.OVER if over else _State.LIVE
        return {slot: answers[slot] for slot in requests}


class _Inline:
    """Slots in this process. What the environment prints is thrown away."""

    def __init__(self, environment: type[Environment], options: Options) -> None:
        self._slots = Slots(environment, options)

    def call(self, operation: Operation, requests: Mapping[int, Any]) -> dict[int, Any]:
        answers: dict[int, Any] = {}
        with open(os.devnull, "w") as sink, contextlib.redirect_stdout(sink):
            for slot, payload in requests.items():
                try:
                    answers[slot] = self._slots.apply(operation, slot, payload)
                except EnvironmentSetupError:
                    raise
                except Exception as error:
                    self._slots.discard(slot)
                    answers[slot] = SlotError(Failure.of(error).reason)
        return answers

    def recycle(self, busy: set[int]) -> None:
        pass

    def close(self) -> None:
        self._slots.close()


class _Workers:
    """Slots spread over worker processes; one message to a worker per call, one answer back per slot."""

    def __init__(self, environment: type[Environment], options: Options, count: int, timeout: float) -> None:
        self._hello = (Locator.of(environment), options.model_dump_json())
        self._timeout = timeout
        self._workers: list[_Worker] = []
        self._closed = False
        self._workers = [_Worker(self._hello) for _ in range(count)]

    def call(self, operation: Operation, requests: Mapping[int, Any]) -> dict[int, Any]:
        """Answers by slot; when a worker is lost, also an error for its slots that were not asked."""
        if self._closed:
            raise ValueError("the pool is closed")
        shares: dict[int, dict[int, Any]] = {}
        for slot, payload in requests.items():
            shares.setdefault(slot % len(self._workers), {})[slot] = payload
        answers: dict[int, Any] = {}
        try:
            for index in shares:
                self._workers[index].await_start(max(START_SECONDS, self._timeout))
            for index, share in shares.items():
                self._workers[index].send(operation, share, self._timeout)
            while busy := [self._workers[index] for index in shares if self._workers[index].waiting_for]:
                self._collect(busy, answers)
        except BaseException:
            # Answers still under way would be taken for those of the next call.
            for index in shares:
                self._replace(index)
            raise
        return answers

    def _collect(self, busy: list[_Worker], answers: dict[int, Any]) -> None:
        patience = max(0.0, min(worker.deadline for worker in busy) - time.monotonic())
        ready = multiprocessing.connection.wait([worker.connection for worker in busy], patience)
        for worker in busy:
            if worker.connection in ready:
                reason = worker.receive(answers, self._timeout)
            elif time.monotonic() >= worker.deadline:
                reason = f"timed out after {self._timeout:g} s"
            else:
                continue
            if reason is not None:
                answers.update(dict.fromkeys(worker.slots, SlotError(reason)))
                self._replace(self._workers.index(worker))

    def recycle(self, busy: set[int]) -> None:
        occupied = {slot % len(self._workers) for slot in busy}
        for index, worker in enumerate(self._workers):
            if worker.resets >= RECYCLE_RESETS and index not in occupied:
                self._replace(index)

    def _replace(self, index: int) -> None:
        self._workers[index].kill()
        self._workers[index] = _Worker(self._hello)

    def close(self) -> None:
        self._closed = True
        for worker in self._workers:
            worker.hang_up()
        for worker in self._workers:
            worker.kill(grace=1.0)


class _Worker:
    """This side of one worker process."""

    def __init__(self, hello: tuple[Locator, str]) -> None:
        self.connection, far = multiprocessing.Pipe()
        self.slots: set[int] = set()
        self.resets = 0
        self.waiting_for: set[int] = set()
        self.deadline = 0.0
        self._started = False
        code = (
            "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
            "from sdar_cli.rollout.worker import main; main(int(sys.argv[1]))"
        )
        # One thread each, and the same hash seed in every worker: engines iterate over sets of strings.
        settings = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, str(far.fileno()), json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[far.fileno()],
            env=os.environ | settings,
        )
        far.close()
        with contextlib.suppress(OSError):  # a worker that died at once is noticed when it is waited for
            self.connection.send(hello)

    def await_start(self, seconds: float) -> None:
        """Wait until the environment is imported; a worker that cannot start ends the run."""
        if self._started:
            return
        remedy = "run `sdar doctor`"
        if not self.connection.poll(seconds):
            raise RunFailed(f"an environment worker did not start within {seconds:g} s: {remedy}")
        try:
            message = self.connection.recv()
        except (EOFError, OSError):
            raise RunFailed(f"an environment worker {self._ending()} while it started: {remedy}") from None
        if isinstance(message, Failure):
            if message.setup is not None:
                raise EnvironmentSetupError(message.setup)
            raise RunFailed(f"an environment worker {message.reason} while it started: {remedy}")
        assert isinstance(message, Started)
        self._started = True

    def send(self, operation: Operation, requests: Mapping[int, Any], timeout: float) -> None:
        self.slots.update(requests)
        self.waiting_for = set(requests)
        self.resets += len(requests) if operation == "reset" else 0
        self.deadline = time.monotonic() + timeout
        with contextlib.suppress(OSError):  # a dead worker is noticed when its answer is read
            self.connection.send((operation, dict(requests)))

    def receive(self, answers: dict[int, Any], timeout: float) -> str | None:
        """Take one answer, or say why there will be none."""
        try:
            message = self.connection.recv()
        except (EOFError, OSError):
            return self._ending()
        if isinstance(message, Failure):
            if message.setup is not None:
                raise EnvironmentSetupError(message.setup)
            return message.reason
        assert isinstance(message, Answer)
        answers[message.slot] = message.result
        self.waiting_for.discard(message.slot)
        self.deadline = time.monotonic() + timeout
        return None

    def hang_up(self) -> None:
        self.connection.close()

    def kill(self, grace: float = 0.0) -> None:
        self.connection.close()
        try:
            self._process.wait(grace)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()

    def _ending(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._process.wait(5.0)
            return f"crashed ({signal.Signals(-code).name})" if code < 0 else f"crashed (exit status {code})"
        return "closed its pipe"
