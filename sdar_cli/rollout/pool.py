"""Many episodes at once: slots of one environment, run as its ``isolation`` says.

    with Pool(Alfworld, options, workers=2, timeout=120) as pool:
        first = pool.reset({0: task, 1: task})          # slot → Observation or SlotError
        steps = pool.step({0: "look", 1: "inventory"})  # slot → Step or SlotError
        pool.submit({0: "go east"})                     # or without waiting for the slowest:
        some = pool.take(0.01)                          # those steps that are done by then

Slots run in this process (``inline.py``), side by side in threads (``threads.py``), or in worker processes
(``processes.py``). Where one fails, its episode is lost, the slot answers ``SlotError``, and the next ``reset``
finds it fresh. An ``EnvironmentSetupError`` is raised here instead, because it would come back every time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from types import TracebackType
from typing import Any

from sdar_cli.rollout.backend import Backend, Operation, SlotError
from sdar_cli.rollout.inline import Inline
from sdar_cli.rollout.processes import Processes
from sdar_cli.rollout.threads import Threads
from sdar_envs.base import Environment, Observation, Options, Step, Task

__all__ = ["RECYCLE_RESETS", "Pool", "SlotError"]

RECYCLE_RESETS = 2000
"""Resets after which a worker process without live episodes is replaced, so that an engine's leaks stay bounded."""


class _State(Enum):
    LIVE = "live"
    OVER = "over"
    LOST = "lost"


class Pool:
    """Steps many episodes of one environment. A context manager; see the module docstring.

    ``workers`` counts threads or processes, which start in the background when the pool is made; ``timeout`` is
    in seconds, for one operation of one slot; ``memory`` is what a worker process may take, in GiB. An inline
    environment has none of them.
    """

    def __init__(
        self,
        environment: type[Environment],
        options: Options,
        *,
        workers: int,
        timeout: float,
        memory: float | None = None,
    ) -> None:
        if workers < 1 or timeout <= 0:
            raise ValueError(f"a pool needs workers of at least 1 and a timeout above 0, not {workers}, {timeout}")
        self._backend: Backend
        if environment.isolation == "inline":
            self._backend = Inline(environment, options)
        elif environment.isolation == "thread":
            self._backend = Threads(environment, options, workers, timeout)
        else:
            limit = None if memory is None else int(memory * 2**30)
            self._backend = Processes(environment, options, workers, timeout, limit)
        self._states: dict[int, _State] = {}
        self._asked: set[int] = set()
        """Slots whose answer is under way."""
        self._lost: set[int] = set()
        """Slots that were asked after they had lost their episode."""

    def reset(self, tasks: Mapping[int, Task]) -> dict[int, Observation | SlotError]:
        """Start an episode in each of these slots; a slot is made when first named, and reused after."""
        self.release(tasks)
        self._backend.recycle({slot for slot, state in self._states.items() if state is _State.LIVE}, RECYCLE_RESETS)
        self._begin("reset", tasks)
        answers = self.wait()
        return {slot: answers[slot] for slot in tasks}

    def step(self, actions: Mapping[int, str]) -> dict[int, Step | SlotError]:
        """Send one action to the live episode of each of these slots, and wait for all."""
        self.submit(actions)
        answers = self.wait()
        return {slot: answers[slot] for slot in actions}

    def submit(self, actions: Mapping[int, str]) -> None:
        """``step`` that does not wait: ``take`` has the answers as they come, ``wait`` has all."""
        for slot in actions:
            if self._states.get(slot, _State.OVER) is _State.OVER or slot in self._asked:
                raise ValueError(f"slot {slot} has no live episode: reset it before it is stepped")
        self._lost |= {slot for slot in actions if self._states[slot] is _State.LOST}
        self._asked |= self._lost
        self._begin("step", {slot: text for slot, text in actions.items() if slot not in self._lost})

    def take(self, seconds: float | None) -> dict[int, Step | SlotError]:
        """Answers to ``submit`` that came; waits for the first, at most so long; None: as long as it takes.

        Empty when nothing is under way.
        """
        asked = set(self._asked)
        return {slot: answer for slot, answer in self._answers(seconds).items() if slot in asked}

    def wait(self) -> dict[int, Any]:
        """Answers to all that is under way. A slot that loses its episode after it has answered is lost as well."""
        answers: dict[int, Any] = {}
        asked = set(self._asked)
        while self._asked:
            answers |= self._answers(None)
        return {slot: answers[slot] for slot in asked}

    def drop(self) -> None:
        """Forget what was submitted and not taken; those episodes are lost."""
        for slot in self._asked:
            self._states[slot] = _State.LOST
        self._asked, self._lost = set(), set()
        self._backend.drop()

    def release(self, slots: Iterable[int]) -> None:
        """Say that these episodes are over, though the environment did not end them (a turn limit)."""
        for slot in slots:
            self._states[slot] = _State.OVER

    @property
    def slow(self) -> int:
        """Operations so far that took more than half the timeout, those that timed out among them."""
        return self._backend.slow

    def close(self) -> None:
        """End the workers; safe to call twice."""
        self._backend.close()

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _begin(self, operation: Operation, requests: Mapping[int, Any]) -> None:
        self._asked |= requests.keys()
        try:
            self._backend.submit(operation, requests)
        except BaseException:
            self.drop()
            raise

    def _answers(self, seconds: float | None) -> dict[int, Any]:
        """What came, also of slots that were not asked."""
        answers: dict[int, Any] = dict.fromkeys(self._lost, SlotError("its worker was replaced"))
        self._lost = set()
        try:
            answers |= self._backend.take(0.0 if answers else seconds)
        except BaseException:
            self.drop()
            raise
        for slot, answer in answers.items():
            if isinstance(answer, SlotError):
                if slot in self._asked or self._states.get(slot) is _State.LIVE:
                    self._states[slot] = _State.LOST
            else:
                over = isinstance(answer, Step) and answer.done
                self._states[slot] = _State.OVER if over else _State.LIVE
        self._asked -= answers.keys()
        return answers
