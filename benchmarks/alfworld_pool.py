"""ALFWorld's environments side by side: a few workers with many slots each, against a process an environment.

    python benchmarks/alfworld_pool.py [--environments 16] [--workers 2] [--group 1] [--rounds 3] [--data FOLDER]

Three ways play the same games along their experts, a turn of all environments at a time, as a rollout does:
the pool with ``--workers``; the pool with a worker for every environment; and, as the released code has it, a
process for every environment on the package's own wrappers. Games are generated, or official with ``--data``.
``--group``: environments that share a game. Start-up runs until every environment has shown its first game, all
packages imported; resets load a game that was not seen before; memory is the processes' proportional share.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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
        self.processes = [
            subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)
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

    @property
    def rate(self) -> float:
        return self.count / self.wall

    @property
    def cpu_each(self) -> float:
        return self.cpu / self.count


@dataclass(slots=True)
class Measured:
    name: str
    start: float = 0.0
    resets: Cost = field(default_factory=Cost)
    steps: Cost = field(default_factory=Cost)
    megabytes: float = 0.0
    won: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environments", type=int, default=16, metavar="N")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="of the pool")
    parser.add_argument("--group", type=int, default=1, metavar="N", help="environments that share a game")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="resets of each, after the first")
    parser.add_argument("--data", help="folder that holds json_2.1.1: official games of valid_seen")
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
    print(f"{count} environments, {games} {options.games} games of {split}, {arguments.group} environments to a game")
    print(f"{'':<40}{'start':>7}{'resets':>8}{'steps':>8}{'CPU s a':>9}{'CPU s a':>9}{'memory':>8}{'':>8}")
    print(f"{'':<40}{'s':>7}{'a s':>8}{'a s':>8}{'reset':>9}{'step':>9}{'MB':>8}{'won':>8}")
    ways: dict[str, Callable[[], Way]] = {
        f"{workers} workers, {-(-count // workers)} slots each": lambda: Pooled(options, workers),
        f"{count} workers, a slot each": lambda: Pooled(options, count),
        f"{count} processes, the package's wrappers": lambda: Packaged(count),
    }
    found = [measure(name, make, environment, rounds) for name, make in ways.items()]
    for other in found[1:]:
        compare(other, found[0])


def measure(name: str, make: Callable[[], Way], environment: Alfworld, rounds: Sequence[Sequence[Task]]) -> Measured:
    """Play all rounds, print the row, and end the processes."""
    found, others, clock = Measured(name), set(psutil.Process().children()), time.perf_counter()
    way = make()
    started = [child for child in psutil.Process().children() if child not in others]
    for number, tasks in enumerate(rounds):
        timed(found.resets if number else Cost(), started, way.reset, dict(enumerate(tasks)))
        if number == 0:
            found.start = time.perf_counter() - clock
        plans = {slot: list(environment.expert(task) or ()) for slot, task in enumerate(tasks)}
        while plans:
            won = timed(found.steps, started, way.step, {slot: plan.pop(0) for slot, plan in plans.items()})
            found.won += sum(won.values())
            plans = {slot: plan for slot, plan in plans.items() if plan and not won[slot]}
    found.megabytes = sum(child.memory_full_info().pss for child in started) / 2**20
    way.close()
    resets, steps = found.resets, found.steps
    print(
        f"{name:<40}{found.start:>7.1f}{resets.rate:>8.1f}{steps.rate:>8.0f}{resets.cpu_each:>9.3f}"
        f"{steps.cpu_each:>9.4f}{found.megabytes:>8.0f}{f'{found.won}/{sum(map(len, rounds))}':>8}",
        flush=True,
    )
    return found


def timed(cost: Cost, processes: Sequence[psutil.Process], call: Callable[[Any], Any], requests: Mapping) -> Any:
    cpu, clock = cpu_seconds(processes), time.perf_counter()
    answer = call(requests)
    cost.wall += time.perf_counter() - clock
    cost.cpu += cpu_seconds(processes) - cpu
    cost.count += len(requests)
    return answer


def cpu_seconds(processes: Sequence[psutil.Process]) -> float:
    return sum(times.user + times.system for times in (process.cpu_times() for process in processes))


def compare(found: Measured, first: Measured) -> None:
    """How many times the first way's seconds, or memory."""
    ratios = (
        (found.start / first.start, 7),
        (first.resets.rate / found.resets.rate, 8),
        (first.steps.rate / found.steps.rate, 8),
        (found.resets.cpu_each / first.resets.cpu_each, 9),
        (found.steps.cpu_each / first.steps.cpu_each, 9),
        (found.megabytes / first.megabytes, 8),
    )
    shown = "".join(f"{f'× {ratio:.1f}':>{width}}" for ratio, width in ratios)
    print(f"{found.name:<40}{shown}", flush=True)


if __name__ == "__main__":
    main()
