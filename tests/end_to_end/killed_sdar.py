"""A training that is gone at a chosen instant, as SIGKILL leaves it: nothing is flushed, closed or told.

The process is a fork of the test's, which spares it the seconds of importing. It must find its runs and its MLflow
store in a folder that the test itself has not opened yet, as connections do not survive a fork.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any

from short_sdar import Sdar

DEADLINE = 240.0
"""Seconds; reached only where something hangs."""


@dataclass(frozen=True, slots=True)
class Aim:
    """The call at which the process goes: ``sdar_cli.module:function`` or ``sdar_cli.module:Class.method``."""

    call: str
    number: int = 1
    """The how manieth, from 1."""
    before: bool = False
    """Instead of right after it."""

    def install(self) -> None:
        module, _, path = self.call.partition(":")
        *owners, name = path.split(".")
        owner: Any = import_module(module)
        for part in owners:
            owner = getattr(owner, part)
        setattr(owner, name, self._deadly(getattr(owner, name)))

    def _deadly(self, function: Callable[..., Any]) -> Callable[..., Any]:
        calls = 0

        @wraps(function)
        def call(*words: Any, **named: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == self.number and self.before:
                os.kill(os.getpid(), signal.SIGKILL)
            value = function(*words, **named)
            if calls == self.number:
                os.kill(os.getpid(), signal.SIGKILL)
            return value

        return call


def killed(sdar: Sdar, aim: Aim, *words: str) -> str:
    """Run a command that is killed there; returns what it had said until then."""
    log = sdar.root.with_name(f"{sdar.root.name}-killed.log")
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        _be_killed(sdar, aim, words, log)
    code = _ended(child)
    said = log.read_text("utf-8", "replace")
    assert code == -signal.SIGKILL, f"{aim} was not met, the process ended with {code}: {said}"
    return said


def _be_killed(sdar: Sdar, aim: Aim, words: tuple[str, ...], log: Path) -> None:
    try:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdout = sys.stderr = os.fdopen(output, "w", buffering=1)
        aim.install()
        from sdar_cli.cli.main import main

        main([*words, "--runs", str(sdar.root)])
        sys.stdout.flush()
    finally:
        os._exit(0)


def _ended(child: int) -> int:
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise AssertionError("the process hangs")
