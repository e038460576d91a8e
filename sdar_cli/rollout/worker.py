"""The far end of the pool: environments that live in a process of their own.

A worker is started with an empty ``__main__`` (so nothing of the caller's program is imported again), reads
requests from one pipe, and answers slot by slot on another. Standard input is its lifeline: it closes when
the parent dies, however it dies, and the worker goes with it.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from sdar_cli.errors import EnvironmentSetupError
from sdar_cli.rollout.answers import checked, raised
from sdar_cli.rollout.backend import Operation, SlotError
from sdar_envs.base import Environment, Observation, Options, Step


@dataclass(frozen=True, slots=True)
class Started:
    """The worker has imported its environment and waits for requests."""


@dataclass(frozen=True, slots=True)
class Answer:
    slot: int
    result: Observation | Step


@dataclass(frozen=True, slots=True)
class Failure:
    """The environment raised, or answered garbage; ``setup`` holds the sentence of an EnvironmentSetupError."""

    reason: str
    setup: str | None = None

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        setup = str(error) if isinstance(error, EnvironmentSetupError) else None
        return cls(raised(error), setup)


@dataclass(frozen=True, slots=True)
class Locator:
    """Where a class is found again in another process, also when it was loaded from a bare file."""

    module: str
    qualname: str
    file: str | None

    @classmethod
    def of(cls, target: type) -> Locator:
        module = sys.modules[target.__module__]
        return cls(target.__module__, target.__qualname__, getattr(module, "__file__", None))

    def load(self) -> Any:
        found: Any = self._import()
        for name in self.qualname.split("."):
            found = getattr(found, name)
        return found

    def _import(self) -> Any:
        if self.module in sys.modules and self.module != "__main__":
            return sys.modules[self.module]
        if self.module != "__main__" and importlib.util.find_spec(self.module.partition(".")[0]) is not None:
            return importlib.import_module(self.module)
        if self.file is None:
            raise EnvironmentSetupError(
                f"the environment {self.qualname} is defined in no file, so a worker cannot import it: "
                "move it into a module"
            )
        name = "sdar_user_main" if self.module == "__main__" else self.module
        spec = importlib.util.spec_from_file_location(name, self.file)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        return module


class Slots:
    """Slot number → environment instance, made on demand and reused over episodes."""

    def __init__(self, environment: Callable[[Options], Environment], options: Options) -> None:
        self._environment = environment
        self._options = options
        self._slots: dict[int, Environment] = {}

    def apply(self, operation: Operation, slot: int, payload: Any) -> Observation | Step:
        if operation == "reset":
            if slot not in self._slots:
                self._slots[slot] = self._environment(self._options)
            return self._slots[slot].reset(payload)
        return self._slots[slot].step(payload)

    def discard(self, slot: int) -> None:
        """Forget an instance that raised, without asking anything more of it."""
        self._slots.pop(slot, None)

    def close(self) -> None:
        while self._slots:
            with contextlib.suppress(Exception):  # of a run that is over
                self._slots.popitem()[1].close()


def serve(connection: Connection, locator: Locator, options_json: str) -> None:
    """Answer requests until the parent hangs up. After a failure the worker waits to be replaced."""
    try:
        environment = locator.load()
        slots = Slots(environment, environment.Options.model_validate_json(options_json))
    except Exception as error:
        connection.send(Failure.of(error))
        return
    connection.send(Started())
    while True:
        try:
            operation, requests = connection.recv()
        except EOFError:
            slots.close()
            return
        except Exception as error:  # a class that is not found here
            connection.send(Failure(f"cannot read its task: it {raised(error)}"))
            return
        for slot, payload in requests.items():
            try:
                result = checked(operation, slots.apply(operation, slot, payload))
            except Exception as error:
                connection.send(Failure.of(error))
                return
            if isinstance(result, SlotError):
                connection.send(Failure(result.reason))
                return
            connection.send(Answer(slot, result))


def main(requests_fd: int) -> None:
    """Entry point of the process; the first message says which environment to serve."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):  # a cluster tells all processes of a job
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    connection = Connection(requests_fd)
    locator, options_json = connection.recv()
    with contextlib.suppress(OSError):  # the parent hung up in the middle of an answer
        serve(connection, locator, options_json)
    os._exit(0)  # skips native tear-down, which may hang


def _die_with_parent() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)
