"""Environments that answer garbage, leak or take their time, for tests/rollout/test_pool_{garbage,memory}.py."""

from __future__ import annotations

import multiprocessing.connection
import os
import struct
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from sdar_cli.rollout import worker
from sdar_cli.rollout.worker import Answer
from sdar_envs.base import Action, Environment, History, Message, Observation, Options, Step, Task

MEBIBYTE = 1 << 20


class Own(Observation):
    """A class that the other process may not know."""


class Angry:
    """Fits where a number is due until it is asked."""

    shape = ()

    def item(self) -> float:
        raise RuntimeError("no number, at https://me:secret@example.org/?token=abc")


class Stubborn(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


def step_of(reward: Any = 0.0, done: Any = False, won: Any = False, score: Any = 0.0, text: Any = "seen") -> Step:
    return Step(Observation(text), reward, done, won, score)


def deep() -> list:
    out: list = []
    for _ in range(100_000):
        out = [out]
    return out


GARBAGE: dict[str, Callable[[], Any]] = {
    "none": lambda: None,
    "text for a step": lambda: "seen",
    "observation for a step": lambda: Observation("seen"),
    "class": lambda: Step,
    "no observation": lambda: Step(None, 0.0, False),
    "text is none": lambda: step_of(text=None),
    "text is bytes": lambda: step_of(text=b"seen"),
    "text is deep": lambda: step_of(text=deep()),
    "text is huge": lambda: step_of(text="x" * (MEBIBYTE + 1)),
    "half a pair": lambda: step_of(text="seen \ud800"),
    "commands are a number": lambda: Step(Observation("seen", 3), 0.0, False),
    "commands are a text": lambda: Step(Observation("seen", "look"), 0.0, False),
    "a command is none": lambda: Step(Observation("seen", ("look", None)), 0.0, False),
    "commands are huge": lambda: Step(Observation("seen", ("x" * 1000,) * 1100), 0.0, False),
    "commands are many": lambda: Step(Observation("seen", ("",) * (MEBIBYTE + 1)), 0.0, False),
    "reward is nan": lambda: step_of(reward=float("nan")),
    "reward is infinite": lambda: step_of(reward=float("inf")),
    "reward would overflow": lambda: step_of(reward=1e200),
    "reward is no float": lambda: step_of(reward=10**400),
    "reward is a text": lambda: step_of(reward="1.0"),
    "reward is none": lambda: step_of(reward=None),
    "reward is complex": lambda: step_of(reward=1j),
    "reward raises": lambda: step_of(reward=Angry()),
    "done is a text": lambda: step_of(done="no"),
    "done is none": lambda: step_of(done=None),
    "won is two": lambda: step_of(won=2),
    "score is nan": lambda: step_of(score=float("nan")),
    "score is a list": lambda: step_of(score=[1.0]),
}


class Garbage(Environment):
    """Its task's id says what a reset answers, the action what a step does; ``fine`` is the good one."""

    name = "garbage"
    isolation = "inline"

    def tasks(self, split: str) -> Sequence[Task]:
        return [Task(f"{split}-{index}", "toy") for index in range(3)]

    def reset(self, task: Task) -> Observation:
        made = {"as a list": Observation("begun", ["look"]), "own class": Own("begun")}
        return made.get(task.id, Observation("begun")) if task.id not in GARBAGE else GARBAGE[task.id]()

    def step(self, action: str) -> Step:
        if action in GARBAGE:
            return GARBAGE[action]()
        match action:
            case "exits":
                raise SystemExit(3)
            case "secret":
                raise LookupError("of https://me:secret@example.org/?token=abc " + "\u202e" + 5000 * "long ")
            case "stubborn":
                raise Stubborn
            case "numpy":
                return _of_numpy()
        return step_of(text=action)

    def parse(self, response: str) -> Action:
        return Action(response)

    def prompt(self, history: History) -> list[Message]:
        return [{"role": "user", "content": history.observation.text}]


def _of_numpy() -> Step:
    import numpy as np

    return step_of(np.float32(0.5), np.bool_(True), np.int64(1), np.array(0.25), np.str_("seen"))


class ThreadGarbage(Garbage):
    isolation = "thread"


class ProcessGarbage(Garbage):
    """Also writes to the pipe what no environment should: the worker's own connection is found in its stack."""

    isolation = "process"

    def step(self, action: str) -> Step:
        match action:
            case "another slot":
                _pipe().send(Answer(7, Observation("of nobody")))
            case "unknown class":
                _pipe().send(Answer(0, sys.exc_info))
            case "no pickle":
                _pipe().send_bytes(b"\x80no pickle")
            case "evil pickle":
                _pipe().send_bytes(b"cos\nsystem\n(S'exit 9'\ntR.")
            case "unhashable":
                _pipe().send(Answer([], Observation("x")))
            case "a giant":
                _pipe().send_bytes(bytes(20 * MEBIBYTE))
            case "empty":
                _pipe().send_bytes(b"")
            case "half a message":
                _hang_in_a_message()
            case "drop by drop":
                _hang_in_a_message(0.05)
            case "leak":
                self._held = bytearray(b"x") * (300 * MEBIBYTE)
            case "leak and wait":
                self._held = bytearray(b"x") * (300 * MEBIBYTE)
                time.sleep(60)
            case "slow":
                time.sleep(0.8)
            case "leave no successor":
                os._exit(3)
        if action.startswith("seen "):
            return step_of(text=f"{action} in {os.getpid()}")
        return super().step(action)

    def reset(self, task: Task) -> Observation:
        return Observation(f"begun in {os.getpid()}") if task.id == "pid" else super().reset(task)


class HalfStart(ProcessGarbage):
    """Its worker stops in the middle of its first word."""

    class Options(Options):
        @classmethod
        def model_validate_json(cls, *_: Any, **__: Any) -> Any:
            _hang_in_a_message()


def _hang_in_a_message(pause: float = 60.0) -> None:
    pipe = _pipe().fileno()
    os.write(pipe, struct.pack("!i", 4096))
    while True:
        os.write(pipe, b"x")
        time.sleep(pause)


def _pipe() -> multiprocessing.connection.Connection:
    """The worker's end of the pipe."""
    frame = sys._getframe()
    while frame.f_code is not worker.serve.__code__:
        frame = frame.f_back
    return frame.f_locals["connection"]
