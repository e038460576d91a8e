"""The parts: which program measures what, which of its ratios are shown, and what they should reach."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from spread import Cell, ratios

Cells = Mapping[str, Cell]


@dataclass(frozen=True, slots=True)
class Target:
    sense: Literal["at most", "at least"]
    value: float

    def met(self, value: float) -> bool:
        return value <= self.value if self.sense == "at most" else value >= self.value

    def __str__(self) -> str:
        return f"{'≤' if self.sense == 'at most' else '≥'} {self.value:g}"


@dataclass(frozen=True, slots=True)
class Line:
    """A ratio that is shown."""

    key: str
    """What its program calls it."""
    label: str
    """At most 38 characters."""
    target: Target | None = None


@dataclass(frozen=True, slots=True)
class Part:
    title: str
    program: str
    lines: Sequence[Line]
    arguments: Sequence[str] = ()
    repeats: int = 3
    cells: Callable[[Mapping[str, Any]], Cells] = lambda figures: figures["ratios"]
    """The program's figures → its ratios."""
    gpu: bool = False
    """Whether it asks for a GPU, and ends with code 2 where there is none."""


def pool_cells(figures: Mapping[str, Any]) -> Cells:
    """Times that the package's way costs more than the pool's, of every column."""
    ours, *_, theirs = figures["rows"].values()
    cells = {}
    for column, name in enumerate(figures["columns"]):
        first, second = [row[column] for row in ours], [row[column] for row in theirs]
        cells[name] = ratios(first, second) if name.endswith("s a s") else ratios(second, first)
    return cells


def startup_cells(figures: Mapping[str, Any]) -> Cells:
    return {"sdar --help": figures["cpu_seconds"]["sdar --help"], **figures["ratios"]}


def memory_cells(figures: Mapping[str, Any]) -> Cells:
    """Peaks over those of the shortest episodes, and shares of padding."""
    padding = {f"padding: {name}": cell for name, cell in (figures["padding"] | figures["layouts"]).items()}
    return padding | figures["ratios"]


def rollout_cells(figures: Mapping[str, Any]) -> Cells:
    return {f"{part}, {name}": cell for part in ("live", "barrier") for name, cell in figures[part].items()}


def most(value: float) -> Target:
    return Target("at most", value)


def least(value: float) -> Target:
    return Target("at least", value)


BASE = "BASE"
"""Among a part's arguments: the folder of the quickstart's base after its warm-up."""
SOLVED = (22, 50, 84)
"""Percent of episodes that end before the turn limit. What can be saved is 50 over the mean number of turns, 1.2, 1.6
and 2.8: the target is for the last, the trained policy."""

PARTS: dict[str, Part] = {
    "step": Part(
        "A whole SDAR step",
        "step.py",
        [
            Line("step: sdar / grpo", "step, live teacher, SDAR / GRPO", most(1.14)),
            Line("step: sdar, frozen / grpo", "step, frozen teacher, SDAR / GRPO", most(1.14)),
            Line("step: sdar / TRL's GRPO", "step, SDAR / TRL's on the same rows"),
            Line("training only: sdar / grpo", "scoring and training, SDAR / GRPO"),
            Line("teacher pass / bare teacher forward", "teacher pass / TRL's scoring of it"),
            Line("teacher pass / its floor", "teacher pass / its floor"),
        ],
        arguments=("--base", BASE, "--only", "sdar, frozen"),
        repeats=15,
    ),
    "toy": Part(
        "A step of a toy",
        "step.py",
        [
            Line(f"toy step: {side}, {kl}", f"{side.replace('sdar', 'SDAR').replace('grpo', 'GRPO')}, {kl}", target)
            for kl in ("KL 0", "KL 0.01")
            for side, target in (("sdar / TRL's GRPO", most(1.15)), ("sdar / grpo", None))
        ],
        arguments=("--shape", "toy"),
        repeats=9,
    ),
    "launch": Part(
        "From launch to the first step",
        "step.py",
        [
            Line(f"first step, {time}: sdar / {other}", f"{time}, SDAR / {other}", target)
            for other, target in (("TRL", most(1.0)), ("TRL with MLflow", None))
            for time in ("clock", "CPU")
        ],
        arguments=("--shape", "launch"),
        repeats=9,
    ),
    "rollout": Part(
        "Only live episodes are generated, and none waits for another",
        "rollout.py",
        [
            *(
                Line(f"live, {share} % solved", f"everything / live, {share} % solved", target)
                for share, target in zip(SOLVED, (None, None, least(2)), strict=True)
            ),
            *(Line(f"barrier, {share} % solved", f"by turns / streaming, {share} % solved") for share in SOLVED),
        ],
        repeats=5,
        cells=rollout_cells,
    ),
    "memory": Part(
        "Memory as episodes grow longer",
        "memory.py",
        [
            Line("window, 15 turns / 5", "peak, window, 15 turns / 5 turns", most(1.1)),
            Line("window, 50 turns / 5", "peak, window, 50 turns / 5 turns", most(1.1)),
            Line("full, 15 turns / 5", "peak, full, 15 turns / 5 turns"),
            Line("full, 50 turns / 5", "peak, full, 50 turns / 5 turns"),
            Line("padding: window, 50 turns", "padding, window, 50 turns", most(0.1)),
            Line("padding: to the left", "padding, window, full lengths", most(0.1)),
        ],
        repeats=3,
        cells=memory_cells,
    ),
    "contexts": Part(
        "Window and full context",
        "contexts.py",
        [
            Line(f"{phase} of {turns} turns: full / window", f"{phase}, {turns} turns, full / window")
            for turns in (5, 15, 30)
            for phase in ("generation", "training", "step")
        ],
        arguments=("--only", "time"),
        repeats=5,
    ),
    "pool": Part(
        "The environment pool",
        "alfworld_pool.py",
        [
            Line("start s", "start-up, a process each / pool"),
            Line("resets a s", "resets a second, pool / a process each"),
            Line("steps a s", "steps a second, pool / a process each"),
            Line("CPU s a step", "CPU time a step, a process each / pool"),
            Line("memory MB", "memory, a process each / pool"),
        ],
        arguments=("--rounds", "1"),
        repeats=3,
        cells=pool_cells,
    ),
    "startup": Part(
        "Start-up",
        "startup.py",
        [
            Line("sdar --help", "sdar --help, seconds of CPU", most(0.15)),
            Line("sdar --help / python", "sdar --help / python -c pass"),
            Line("sdar --help / importing typer", "sdar --help / importing typer"),
            Line("sdar train --dry-run / python", "sdar train --dry-run / python -c pass"),
            Line("trl --help / sdar --help", "trl --help / sdar --help"),
        ],
        repeats=15,
        cells=startup_cells,
    ),
    "gpu": Part(
        "On a GPU",
        "gpu.py",
        [
            Line(f"{model}, whole step: sdar / grpo", f"{model}, SDAR / GRPO", most(1.14))
            for model in ("qwen3-1.7b", "qwen2.5-7b")
        ],
        gpu=True,
    ),
}
