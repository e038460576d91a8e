"""What is on disk: the official games, counted and vetted; and a generated suite, summed up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdar_cli.errors import EnvironmentSetupError
from sdar_envs.alfworld import generated, official
from sdar_envs.alfworld.vetting import read_game

EXPECTED = {"train": 3553, "valid_seen": 140, "valid_unseen": 134}
"""Games of the release that upstream plays: solvable, without movable receptacles and slicing."""


@dataclass(frozen=True, slots=True)
class SplitCheck:
    """One split of the official games; ``refused`` has a sentence for each file that is no known game."""

    split: str
    folder: str
    games: int
    expected: int
    task_types: dict[str, int]
    refused: tuple[str, ...]


def check(data: str | None, progress: Callable[[int, int], None] | None = None) -> list[SplitCheck]:
    """Read and vet every official game that is there (about 3 ms each)."""
    present = official.splits(data)
    listed = {split: official.tasks(data, split) if split in present else [] for split in official.SPLITS}
    total, done = sum(map(len, listed.values())), 0
    checks = []
    for split, tasks in listed.items():
        refused = []
        for task in tasks:
            try:
                read_game(Path(task.data["file"]))
            except EnvironmentSetupError as error:
                refused.append(str(error))
            done += 1
            if progress is not None:
                progress(done, total)
        types = Counter(task.task_type for task in tasks)
        folder = official.data_folder(data) / official.GAMES_FOLDER / split
        checks.append(
            SplitCheck(split, str(folder), len(tasks), EXPECTED[split], dict(sorted(types.items())), tuple(refused))
        )
    return checks


def summary(suite: generated.Suite) -> list[dict[str, Any]]:
    """A generated suite by split and task type: games, and the expert's mean and largest number of turns."""
    rows = []
    for split, entries in generated.index(suite).items():
        for task_type in sorted({entry["task_type"] for entry in entries}):
            turns = [len(entry["search"]) for entry in entries if entry["task_type"] == task_type]
            rows.append(
                {
                    "split": split,
                    "task_type": task_type,
                    "games": len(turns),
                    "expert_turns_mean": round(sum(turns) / len(turns), 2),
                    "expert_turns_max": max(turns),
                }
            )
    return rows
