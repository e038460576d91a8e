"""Tasks of a split that is too large to make, which note those that are made all the same."""

from __future__ import annotations

from collections.abc import Sequence

from sdar_envs.base import LazyTasks, Task


class CountedTasks(LazyTasks):
    """``made`` holds the id of every task that was asked for."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.tasks = {task.id: task for task in tasks}
        self.ids = list(self.tasks)
        self.made: list[str] = []

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Task:  # type: ignore[override]
        self.made.append(self.ids[index])
        return self.tasks[self.ids[index]]

    def holds(self, task_id: str) -> bool:
        return task_id in self.tasks

    def find(self, task_id: str) -> Task | None:
        return self.tasks.get(task_id)
