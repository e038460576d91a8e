"""Rollouts to be recorded."""

from __future__ import annotations

from sdar_cli.rollout.episode import Episode, Turn
from sdar_envs.base import Task


def one(group: int = 0, sample: int = 0, teacher: bool = True, text: str = "", **about) -> Episode:
    made = Episode(Task("t", "type"), "goal", group, sample, skills=("a",), **about)
    made.turns = [Turn(0, [1, 2], [9, 1, 2] if teacher else None, [3], [-0.5], text, text, "x", None, "", 1.0)]
    return made


def rollout(step: int, groups: int = 2, samples: int = 2) -> list[Episode]:
    return [one(g, s, text=f"{step} " * 3) for g in range(groups) for s in range(samples)]
