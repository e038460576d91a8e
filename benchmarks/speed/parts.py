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
    return {f"padding: {name}": cell for name, cell in figures["padding"].items()} | figures["ratios"]


def rollout_cells(figures: Mapping[str, Any]) -> Cells:
    return {f"{part}, {name}": cell for part in ("live", "barrier") for name, cell in figures[part].items()}


def most(value: float) -> Target:
    return Target("at most", value)


def least(value: float) -> Target:
    return Target("at least", value)


SOLVED = (22, 50, 84)
"""Percent of episodes that end before the turn limit."""

PARTS: dict[str, Part] = {
    "step": Part(
        "An SDAR step",
        "step.py",
        [
            Line("step: sdar / grpo", "step, SDAR / GRPO", most(1.14)),
            Line("step: sdar / TRL's GRPO", "step, SDAR / TRL's GRPOTrainer"),
            Line("teacher pass / bare teacher forward", "teacher pass / its bare forward"),
        ],
        repeats=7,
    ),
    "rollout": Part(
        "Only live episodes are generated, and none waits for another",
        "rollout.py",
        [
            *(Line(f"live, {share} % solved", f"everything / live, {share} % solved", least(2)) for share in SOLVED),
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
            Line("padding: full, 50 turns", "padding, full, 50 turns", most(0.1)),
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
            for phase in ("rollout", "training", "step")
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
