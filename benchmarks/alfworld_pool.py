"""ALFWorld's environments side by side: a few workers with many slots each, against a process an environment.

    python benchmarks/alfworld_pool.py [--environments 16] [--workers 2] [--group 1] [--rounds 3] [--repeats 3]
                                       [--data FOLDER] [--json FILE]

Three ways play the same games along their experts, a turn of all environments at a time, as a rollout does:
the pool with ``--workers``; the pool with a worker for every environment; and, as the released code has it, a
process for every environment on the package's own wrappers. Games are generated, or official with ``--data``.
``--group``: environments that share a game. Start-up runs until every environment has shown its first game, all
packages imported; resets load a game that was not seen before; memory is the processes' proportional share.

A repetition plays all three ways, one after the other, in fresh processes. Printed are medians over the
repetitions, and medians of each repetition's ratios. Seconds depend on the machine; ratios much less.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Protocol

import psutil

from sdar_cli.evaluation.panel import Panel
from sdar_cli.rollout.pool import Pool, SlotError
from sdar_envs.alfworld.environment import Alfworld, AlfworldOptions
from sdar_envs.base import Task

PACKAGE = """
import json, sys
out, sys.stdout = sys.stdout, sys.stderr
import textworld
from alfworld.agents.environment.alfred_tw_env import AlfredDemangler, AlfredInfos
from textworld.envs import PddlEnv

env = AlfredInfos(AlfredDemangler(PddlEnv(textworld.EnvInfos(won=True, admissible_commands=True))))
for line in sys.stdin:
    kind, value = json.loads(line)
    if kind == "reset":
        env.load(value)
        state = env.reset()
    else:
        state, _, _ = env.step(value)
    print(json.dumps([state.feedback, state["admissible_commands"], state["won"]]), file=out, flush=True)
"""


class Way(Protocol):
    """Slot → task or action in; whether each slot's game is won out."""

    def reset(self, tasks: Mapping[int, Task]) -> None: ...
    def step(self, actions: Mapping[int, str]) -> dict[int, bool]: ...
    def close(self) -> None: ...


class Pooled:
    def __init__(self, options: AlfworldOptions, workers: int) -> None:
        self.pool = Pool(Alfworld, options, workers=workers, timeout=600)

    def reset(self, tasks: Mapping[int, Task]) -> None:
        self._sound(self.pool.reset(tasks))

    def step(self, actions: Mapping[int, str]) -> dict[int, bool]:
        return {slot: step.won for slot, step in self._sound(self.pool.step(actions)).items()}

    def close(self) -> None:
        self.pool.close()

    def _sound(self, answers: Mapping[int, Any]) -> Mapping[int, Any]:
        for slot, answer in answers.items():
            if isinstance(answer, SlotError):
                raise SystemExit(f"slot {slot} was lost: {answer.reason}")
        return answers


class Packaged:
    """A process for every environment, asked all at once and answered in turn."""

    def __init__(self, count: int) -> None:
        command = [sys.executable, "-c", PACKAGE]
        pipe = subprocess.PIPE
        self.folder = tempfile.TemporaryDirectory()  # the package makes a folder when it is imported
        settings: dict[str, Any] = {"env": os.environ | {"ALFWORLD_DATA": self.folder.name}, "text": True}
        self.processes = [
            subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, **settings)
            for _ in range(count)
        ]

    def reset(self, tasks: Mapping[int, Task]) -> None:
        self._ask({slot: ["reset", task.data["file"]] for slot, task in tasks.items()})

    def step(self, actions: Mapping[int, str]) -> dict[int, bool]:
        answers = self._ask({slot: ["step", action] for slot, action in actions.items()})
        return {slot: bool(won) for slot, (_, _, won) in answers.items()}

    def close(self) -> None:
        for process in self.processes:
            process.communicate("")
        self.folder.cleanup()

    def _ask(self, requests: Mapping[int, Any]) -> dict[int, Any]:
        for slot, request in requests.items():
            process = self.processes[slot]
            assert process.stdin is not None
            print(json.dumps(request), file=process.stdin, flush=True)
        answers = {}
        for slot in requests:
            line = self.processes[slot].stdout
            assert line is not None
            answers[slot] = json.loads(line.readline())
        return answers


@dataclass(slots=True)
class Cost:
    """Of resets or of steps: how many, wall seconds, and the processes' CPU seconds."""

    count: int = 0
    wall: float = 0.0
    cpu: float = 0.0


COLUMNS = (
    ("start", "s", 7, 1),
    ("resets", "a s", 8, 1),
    ("steps", "a s", 8, 0),
    ("CPU s a", "reset", 9, 3),
    ("CPU s a", "step", 9, 4),
    ("memory", "MB", 8, 0),
)
"""Both lines of the head, width, digits; a row holds these figures in this order."""
RATES = (1, 2)
"""Columns where more is better."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environments", type=int, default=16, metavar="N")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="of the pool")
    parser.add_argument("--group", type=int, default=1, metavar="N", help="environments that share a game")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="resets of each, after the first")
    parser.add_argument("--repeats", type=int, default=3, metavar="N")
    parser.add_argument("--data", help="folder that holds json_2.1.1: official games of valid_seen")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    arguments = parser.parse_args()
    count, workers = arguments.environments, arguments.workers
    games = -(-count // arguments.group) * (arguments.rounds + 1)
    options = AlfworldOptions(games="generated", train=6, test=games)
    if arguments.data:
        options = AlfworldOptions(data=arguments.data)
    environment = Alfworld(options)
    split = "valid_seen" if arguments.data else "test"
    tasks = [
        task for task in Panel.make(environment, split, games, 0).tasks(environment) for _ in range(arguments.group)
    ]
    rounds = [tasks[first : first + count] for first in range(0, count * (arguments.rounds + 1), count)]
    title = f"{count} environments, {games} {options.games} games of {split}, {arguments.group} environments to a game"
    print(f"{title}; medians of {arguments.repeats}", flush=True)
    ways: dict[str, Callable[[], Way]] = {
        f"{workers} workers, {-(-count // workers)} slots each": lambda: Pooled(options, workers),
        f"{count} workers, a slot each": lambda: Pooled(options, count),
        f"{count} processes, the package's wrappers": lambda: Packaged(count),
    }
    rows: dict[str, list[list[float]]] = {name: [] for name in ways}
    won = dict.fromkeys(ways, 0)
    for _ in range(arguments.repeats):
        for name, make in ways.items():
            row, wins = measure(make, environment, rounds)
            rows[name].append(row)
            won[name] += wins
    machine = f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores"
    figures = {
        "title": title,
        "machine": machine,
        "repeats": arguments.repeats,
        "played": arguments.repeats * len(tasks),
    }
    figures |= {"columns": [f"{first} {second}" for first, second, *_ in COLUMNS], "rows": rows, "won": won}
    figures |= {"ratios": {name: paired(row, next(iter(rows.values()))) for name, row in rows.items()}}
    show(figures)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def measure(
    make: Callable[[], Way], environment: Alfworld, rounds: Sequence[Sequence[Task]]
) -> tuple[list[float], int]:
    """Play all rounds and end the processes: a row's figures, and how many games were won."""
    others, clock = set(psutil.Process().children()), time.perf_counter()
    way = make()
    started = [child for child in psutil.Process().children() if child not in others]
    start, resets, steps, wins = 0.0, Cost(), Cost(), 0
    for number, tasks in enumerate(rounds):
        timed(resets if number else Cost(), started, way.reset, dict(enumerate(tasks)))
        if number == 0:
            start = time.perf_counter() - clock
        plans = {slot: list(environment.expert(task) or ()) for slot, task in enumerate(tasks)}
        while plans:
            won = timed(steps, started, way.step, {slot: plan.pop(0) for slot, plan in plans.items()})
            wins += sum(won.values())
            plans = {slot: plan for slot, plan in plans.items() if plan and not won[slot]}
    megabytes = sum(child.memory_full_info().pss for child in started) / 2**20
    way.close()
    rates = (resets.count / resets.wall, steps.count / steps.wall)
    return [start, *rates, resets.cpu / resets.count, steps.cpu / steps.count, megabytes], wins


def timed(cost: Cost, processes: Sequence[psutil.Process], call: Callable[[Any], Any], requests: Mapping) -> Any:
    cpu, clock = cpu_seconds(processes), time.perf_counter()
    answer = call(requests)
    cost.wall += time.perf_counter() - clock
    cost.cpu += cpu_seconds(processes) - cpu
    cost.count += len(requests)
    return answer


def cpu_seconds(processes: Sequence[psutil.Process]) -> float:
    return sum(times.user + times.system for times in (process.cpu_times() for process in processes))


def paired(rows: Sequence[Sequence[float]], first: Sequence[Sequence[float]]) -> list[float]:
    """Median over repetitions of how many times the first way's cost: for rates, of how many times fewer."""
    return [
        median(theirs / ours if column not in RATES else ours / theirs for theirs, ours in zip(*cells, strict=True))
        for column, cells in enumerate(zip(zip(*rows, strict=True), zip(*first, strict=True), strict=True))
    ]


def show(figures: Mapping[str, Any]) -> None:
    for line in (0, 1):
        head = "".join(f"{column[line]:>{column[2]}}" for column in COLUMNS)
        print(f"{'':<40}{head}{('', 'won')[line]:>9}".rstrip())
    for name, rows in figures["rows"].items():
        cells = zip(zip(*rows, strict=True), COLUMNS, strict=True)
        row = "".join(f"{median(values):>{width}.{digits}f}" for values, (_, _, width, digits) in cells)
        won = f"{figures['won'][name]}/{figures['played']}"
        print(f"{name:<40}{row}{won:>9}")
    for name, ratios in list(figures["ratios"].items())[1:]:
        row = "".join(f"{f'× {ratio:.1f}':>{column[2]}}" for ratio, column in zip(ratios, COLUMNS, strict=True))
        print(f"{name:<40}{row}")


if __name__ == "__main__":
    main()
