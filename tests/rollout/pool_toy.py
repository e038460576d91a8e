"""An environment that misbehaves on command, for tests/rollout/test_pool.py."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence

from sdar_cli.errors import EnvironmentSetupError
from sdar_envs.base import Action, Environment, History, Message, Observation, Options, Step, Task


class ToyOptions(Options):
    greeting: str = "hello"
    refuse_to_start: bool = False


class Toy(Environment):
    name = "toy"
    Options = ToyOptions
    isolation = "process"

    def __init__(self, options: ToyOptions) -> None:
        super().__init__(options)
        if options.refuse_to_start:
            raise EnvironmentSetupError("the toy has no batteries: buy some")
        self.episodes = 0
        self.steps = 0

    def tasks(self, split: str) -> Sequence[Task]:
        return [Task(f"{split}-{index}", "toy") for index in range(3)]

    def reset(self, task: Task) -> Observation:
        self.episodes += 1
        self.steps = 0
        return Observation(f"{self.options.greeting} {task.id} episode {self.episodes} in {os.getpid()}")

    def step(self, action: str) -> Step:
        self.steps += 1
        print("noise")
        os.write(1, b"native noise\n")
        match action:
            case "crash":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "exit":
                os._exit(3)
            case "hang":
                threading.Event().wait()
            case "raise":
                raise LookupError("no such\nthing")
            case "set up":
                raise EnvironmentSetupError("the toy's box is missing: open it")
            case "stdin":
                return self._seen(repr(sys.stdin))
            case "big":
                return self._seen("x" * 1_000_000)
        return self._seen(action, done=action == "finish")

    def _seen(self, text: str, done: bool = False) -> Step:
        return Step(Observation(f"{text} #{self.steps} in {os.getpid()}"), float(done), done, won=done)

    def parse(self, response: str) -> Action:
        return Action(response)

    def prompt(self, history: History) -> list[Message]:
        return [{"role": "user", "content": history.observation.text}]


class InlineToy(Toy):
    isolation = "inline"

    def step(self, action: str) -> Step:
        self.steps += 1
        print("noise")
        if action == "raise":
            raise LookupError("no such\nthing")
        if action == "set up":
            raise EnvironmentSetupError("the toy's box is missing: open it")
        return self._seen(action, done=action == "finish")
