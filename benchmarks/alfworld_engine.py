"""CPU seconds of ALFWorld's resets and steps, along experts, in one process.

    python benchmarks/alfworld_engine.py [--data FOLDER] [--games 4] [--package]

Generated games, and the official ones with ``--data``; with ``--package`` also through its own wrappers.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from random import Random
from statistics import mean
from typing import Any

from sdar_envs.alfworld.environment import Alfworld, AlfworldOptions
from sdar_envs.alfworld.world import TASK_TYPES
from sdar_envs.base import Task

PACKAGE = """
import json, sys, time
import textworld
from alfworld.agents.environment.alfred_tw_env import AlfredDemangler, AlfredInfos
from textworld.envs import PddlEnv

out, sys.stdout = sys.stdout, sys.stderr
new, again, steps, won = [], [], [], 0
env = AlfredInfos(AlfredDemangler(PddlEnv(textworld.EnvInfos(won=True, admissible_commands=True))))

def timed(times, call, *arguments):
    clock = time.process_time()
    answer = call(*arguments)
    times.append(time.process_time() - clock)
    return answer

for file, commands in json.load(sys.stdin):
    loading = []
    timed(loading, env.load, file)
    timed(loading, env.reset)
    new.append(sum(loading))
    state = timed(again, env.reset)
    for command in commands:
        state, _, _ = timed(steps, env.step, command)
    won += bool(state["won"])
json.dump([new, again, steps, won], out)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder that holds json_2.1.1")
    parser.add_argument("--games", type=int, default=4, help="games of each task type")
    parser.add_argument("--package", action="store_true", help="also measure the package's wrappers")
    arguments = parser.parse_args()
    print(f"{'games':<24} {'engine':<8} {'won':>7} {'new game':>9} {'again':>7} {'step':>7}  admissible, most")
    environments = [Alfworld(AlfworldOptions(games="generated"))]
    if arguments.data:
        environments.append(Alfworld(AlfworldOptions(data=arguments.data)))
    for environment in environments:
        for split in environment.splits:
            tasks = sample(environment.tasks(split), arguments.games)
            name = f"{environment.options.games} {split}"
            show(name, "ours", len(tasks), *ours(environment, tasks))
            if arguments.package:
                show(name, "package", len(tasks), *package(environment, tasks), 0)


def sample(tasks: Sequence[Task], count: int) -> list[Task]:
    by_type = {kind: [task for task in tasks if task.task_type == kind] for kind in TASK_TYPES}
    return [task for kind in TASK_TYPES for task in Random(0).sample(by_type[kind], min(count, len(by_type[kind])))]


def ours(environment: Alfworld, tasks: Sequence[Task]) -> tuple[list[float], list[float], list[float], int, int]:
    slot = Alfworld(environment.options)
    slot.reset(tasks[0])  # imports
    new: list[float] = []
    again: list[float] = []
    steps: list[float] = []
    won = most = 0
    for task in [*tasks[1:], tasks[0]]:
        timed(new, slot.reset, task)
        observation = timed(again, slot.reset, task)
        for command in environment.expert(task) or ():
            most = max(most, len(observation.admissible))
            step = timed(steps, slot.step, command)
            observation = step.observation
        won += step.won
    slot.close()
    return new, again, steps, won, most


def package(environment: Alfworld, tasks: Sequence[Task]) -> tuple[list[float], list[float], list[float], int]:
    plays = [[task.data["file"], list(environment.expert(task) or ())] for task in tasks]
    done = subprocess.run(
        [sys.executable, "-c", PACKAGE], input=json.dumps(plays), capture_output=True, text=True, check=True
    )
    new, again, steps, won = json.loads(done.stdout)
    return new, again, steps, won


def timed(times: list[float], call: Callable[..., Any], *arguments: Any) -> Any:
    clock = time.process_time()
    answer = call(*arguments)
    times.append(time.process_time() - clock)
    return answer


def show(
    name: str,
    engine: str,
    games: int,
    new: list[float],
    again: list[float],
    steps: list[float],
    won: int,
    most: int,
) -> None:
    times = f"{mean(new):>9.3f} {mean(again):>7.3f} {mean(steps):>7.4f}"
    print(f"{name:<24} {engine:<8} {f'{won}/{games}':>7} {times}  {most or '-'}", flush=True)


if __name__ == "__main__":
    main()
