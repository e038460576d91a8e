"""Upper bounds of a step's tokens, and what the estimates of memory and hours share: parts with their formulas."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from sdar_cli.recipe.schema import Recipe

Dist = Literal["ddp", "fsdp2", "zero3"]


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    amount: int
    """Tokens, rows or bytes."""
    formula: str


@dataclass(frozen=True, slots=True)
class Processes:
    """How many processes a run is, and how weights lie on them."""

    count: int = 1
    dist: Dist = "ddp"

    @property
    def parts(self) -> int:
        """Into how many parts weights, gradients and moments are divided."""
        return 1 if self.dist == "ddp" else self.count

    def groups(self, recipe: Recipe) -> int:
        """A step's groups that the busiest process plays."""
        return math.ceil(recipe.rollout.tasks / self.count)

    def rows(self, recipe: Recipe) -> int:
        """Rows of an update that the busiest process holds, at most."""
        own = self.groups(recipe) * recipe.rollout.group * rows_an_episode(recipe)
        update = recipe.optimiser.rows_per_update
        return own if update is None else min(own, update)


ONE = Processes()


def rows_an_episode(recipe: Recipe) -> int:
    return recipe.rollout.max_turns if recipe.rollout.context == "window" else 1


def longest_row(recipe: Recipe) -> int:
    """Tokens, the teacher's skills not counted."""
    return recipe.rollout.max_prompt_tokens + recipe.rollout.max_response_tokens


def tokens_per_step(recipe: Recipe) -> list[Part]:
    """The most that one step can take; episodes that end early take less."""
    rollout = recipe.rollout
    episodes = rollout.tasks * rollout.group
    rows = episodes * rows_an_episode(recipe)
    per_row = longest_row(recipe)
    generated = episodes * rollout.max_turns * rollout.max_response_tokens
    per_update = recipe.optimiser.rows_per_update or rows
    turns = f" × {rollout.max_turns} turns" if rollout.context == "window" else ""
    parts = [
        Part("episodes", episodes, f"{rollout.tasks} tasks × {rollout.group} a group"),
        Part("rows", rows, f"{episodes} episodes{turns}"),
        Part(
            "generated tokens",
            generated,
            f"{episodes} episodes × {rollout.max_turns} turns × {rollout.max_response_tokens} tokens",
        ),
        Part(
            "trained tokens",
            rows * per_row,
            f"{rows} rows × ({rollout.max_prompt_tokens} prompt + {rollout.max_response_tokens} response)",
        ),
        Part("optimiser updates", math.ceil(rows / per_update), f"⌈{rows} rows / {per_update} rows an update⌉"),
    ]
    if recipe.needs_teacher:
        parts.insert(4, Part("teacher tokens", rows * per_row, "the trained rows once more, their skills not counted"))
    return parts
