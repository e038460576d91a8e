"""An environment as a user writes it in a file; every episode is won at its first turn."""

from __future__ import annotations

TOY = """
from pydantic import Field
from sdar_envs import base


class Toy(base.Environment):
    name = "toy"

    class Options(base.Options):
        size: int = Field(default=3, gt=0)
        data: str | None = None

    def tasks(self, split):
        return [base.Task(id=f"{split}-{number}", task_type="only") for number in range(200)]

    def reset(self, task):
        return base.Observation("a room")

    def step(self, action):
        return base.Step(base.Observation("done"), 1.0, True, True)

    def parse(self, response):
        return base.Action(response)

    def prompt(self, history):
        return [{"role": "user", "content": "act"}]


class NotOne:
    pass
"""
