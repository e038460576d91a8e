"""What there is: official questions, counted and read to the end; and a generated world, summed up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from sdar_cli.errors import EnvironmentSetupError
from sdar_envs.base import Task
from sdar_envs.search_qa import official
from sdar_envs.search_qa.environment import SearchQa, SearchQaOptions
from sdar_envs.search_qa.official import Progress


@dataclass(frozen=True, slots=True)
class SplitCheck:
    """One split of the official questions."""

    split: str
    file: str
    questions: dict[str, int]
    """Data source → questions; the seven datasets first, in their order."""
    in_other: int
    """Questions that stand in the other split too, as scoring normalises text; training leaves those of ``train``
    out."""
    problem: str | None
    """Why it cannot be read, a sentence; then nothing is counted."""


def check(data: str | None, progress: Progress | None = None) -> list[SplitCheck]:
    """Read both files to their last row. Raises EnvironmentSetupError when no folder is named."""
    folder = official.data_folder(data)
    asked: dict[str, list[bytes]] = {}
    counts: dict[str, dict[str, int]] = {}
    problems: dict[str, str] = {}
    for split in official.SPLITS:
        tasks: list[Task] = []
        try:
            tasks = official.read_tasks(data, split, progress)
        except EnvironmentSetupError as error:
            problems[split] = str(error)
        asked[split] = [official.fingerprint(task.goal) for task in tasks]
        counts[split] = _counts(tasks)
    both = set(asked["train"]) & set(asked["test"])
    return [
        SplitCheck(
            split,
            str(folder / f"{split}.parquet"),
            counts[split],
            sum(question in both for question in asked[split]),
            problems.get(split),
        )
        for split in official.SPLITS
    ]


def summary(options: SearchQaOptions) -> list[dict[str, Any]]:
    """Generated questions by split and task type, with the expert's mean and largest number of turns."""
    environment = SearchQa(options)
    rows = []
    for split in environment.splits:
        tasks = environment.tasks(split)
        for kind in dict.fromkeys(task.task_type for task in tasks):
            turns = [len(task.data["searches"]) + 1 for task in tasks if task.task_type == kind]
            mean = round(sum(turns) / len(turns), 2)
            rows.append(
                {
                    "split": split,
                    "task_type": kind,
                    "questions": len(turns),
                    "expert_turns_mean": mean,
                    "expert_turns_max": max(turns),
                }
            )
    return rows


def _counts(tasks: list[Task]) -> dict[str, int]:
    found = Counter(task.task_type for task in tasks)
    order = [name for name in official.DATASETS if name in found]
    return {name: found[name] for name in [*order, *sorted(set(found) - set(order))]}
