"""The shortest plan for a task, from its errands and the rulebook."""

from __future__ import annotations

from collections.abc import Mapping

from sdar_envs.base import Task
from sdar_envs.household.prompts import command
from sdar_envs.household.tasks import errands_of
from sdar_envs.household.words import KEEPING


def plan(task: Task, stations: Mapping[str, str], walk: bool) -> list[str]:
    """Commands that solve the task where ``stations`` (verb → station) holds."""
    commands: list[str] = []
    here: str | None = None

    def go(spot: str) -> None:
        nonlocal here
        if walk and here != spot:
            commands.append(command(("go", spot)))
            here = spot

    for errand in errands_of(task):
        station = stations[errand.verb]
        for thing, source in zip(errand.things, errand.sources, strict=True):
            go(source)
            commands.append(command(("take", thing, source)))
            go(station)
            commands.append(command((errand.verb, thing, station)))
        if errand.verb in KEEPING:
            commands.append(command(("close", station)))
        else:
            go(errand.destination)
            commands.append(command(("put", errand.things[0], errand.destination)))
    return commands
