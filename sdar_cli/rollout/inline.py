"""The pool's slots in this process, one after the other. What the environment prints is thrown away.

Nothing stands between this process and an environment that crashes it or never answers: one that may do so asks for
``isolation = "process"``.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from typing import Any

from sdar_cli.errors import EnvironmentSetupError
from sdar_cli.rollout.answers import checked, raised
from sdar_cli.rollout.backend import Operation, SlotError
from sdar_cli.rollout.worker import Slots
from sdar_envs.base import Environment, Options


class Inline:
    """See the module docstring; there is no timeout, and ``submit`` does all the work."""

    def __init__(self, environment: type[Environment], options: Options) -> None:
        self.slow = 0
        self._slots = Slots(environment, options)
        self._answers: dict[int, Any] = {}

    def submit(self, operation: Operation, requests: Mapping[int, Any]) -> None:
        with open(os.devnull, "w") as sink, contextlib.redirect_stdout(sink):
            for slot, payload in requests.items():
                try:
                    answer = checked(operation, self._slots.apply(operation, slot, payload))
                except EnvironmentSetupError:
                    raise
                except (Exception, SystemExit) as error:
                    answer = SlotError(raised(error))
                if isinstance(answer, SlotError):
                    self._slots.discard(slot)
                self._answers[slot] = answer

    def take(self, seconds: float | None) -> dict[int, Any]:
        answers, self._answers = self._answers, {}
        return answers

    def drop(self) -> None:
        self._answers = {}

    def recycle(self, busy: set[int], resets: int) -> None:
        pass

    def close(self) -> None:
        self._slots.close()
