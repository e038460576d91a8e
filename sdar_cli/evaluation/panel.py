"""A panel: a frozen list of task ids, with its split, seed and hash, on which checkpoints are compared.

panel = Panel.make(environment, split="test", size=128, seed=0)
panel.check_disjoint(environment.tasks("train"))
panel.save(Path("panel.json"))
Panel.load(Path("panel.json")).tasks(environment)
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from sdar_cli.errors import PanelError
from sdar_cli.evaluation import panel_format
from sdar_cli.evaluation.files import digest
from sdar_envs.base import Environment, LazyTasks, Options, Task


def task_options(options: Options) -> dict[str, Any]:
    """Those of an environment's options that say what a task is (all but ``beside_tasks``), as plain data."""
    return options.model_dump(mode="json", exclude=set(options.beside_tasks))


def options_digest(options: Options) -> str:
    """Hash of ``task_options``."""
    return digest(task_options(options))


@dataclass(frozen=True, slots=True)
class Panel:
    environment: str
    """Name of the environment."""
    options: str
    """``options_digest`` of the environment it was drawn from."""
    split: str
    seed: int
    task_ids: tuple[str, ...]
    """In the order of the visit; each task once. Any prefix is spread over the task types as well."""
    task_types: tuple[str, ...] = field(default=(), compare=False)
    """Of each task; empty in a file of format 1. For the reader: the hash leaves it out."""
    settings: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """``task_options`` of the environment it was drawn from; empty in a file of format 1."""

    @property
    def digest(self) -> str:
        """SHA-256 over environment, options, split, seed and ids as canonical JSON."""
        return digest(self._hashed())

    @property
    def by_type(self) -> dict[str, int]:
        """Tasks of each type, by name; empty where the types are not known."""
        return dict(sorted(Counter(self.task_types).items()))

    def __len__(self) -> int:
        return len(self.task_ids)

    @classmethod
    def make(cls, environment: Environment, split: str, size: int, seed: int) -> Self:
        """Draw ``size`` tasks of a split, as evenly over the task types as the split allows.

        Types take turns, each giving its next task in an order drawn from ``seed``; a type that runs
        out leaves its turns to the others. A smaller panel of the same seed is thus a prefix of a
        larger one. Depends on ids, types and seed only, never on the order of the split.

        Raises PanelError for an unknown split, a size below 1 or above the split's, or a repeated id.
        """
        by_id = _tasks_by_id(environment, split)
        if not 1 <= size <= len(by_id):
            raise PanelError(
                f"a panel of {size} tasks cannot be drawn from split {split!r} of {environment.name}, "
                f"which has {len(by_id)}: set evaluation.tasks to a number from 1 to {len(by_id)}"
            )
        queues: dict[str, list[str]] = defaultdict(list)
        for task in by_id.values():
            queues[task.task_type].append(task.id)
        for queue in queues.values():
            queue.sort(key=lambda task_id: _order(seed, "task", task_id), reverse=True)
        types = sorted(queues, key=lambda task_type: _order(seed, "type", task_type))
        chosen: list[str] = []
        while len(chosen) < size:
            for task_type in types:
                if queues[task_type] and len(chosen) < size:
                    chosen.append(queues[task_type].pop())
        _check_texts(chosen, types)
        return cls(
            environment.name,
            options_digest(environment.options),
            split,
            seed,
            tuple(chosen),
            tuple(by_id[task_id].task_type for task_id in chosen),
            task_options(environment.options),
        )

    def check_environment(self, environment: Environment) -> None:
        """Raises PanelError when the environment is another, or has other options."""
        if environment.name != self.environment:
            raise PanelError(
                f"the panel was drawn from {self.environment}, not from {environment.name}: "
                f"use a panel of {environment.name}, or leave evaluation.panel out"
            )
        if options_digest(environment.options) != self.options:
            raise PanelError(
                f"the panel was drawn from {self.environment} with other options{self._other(environment.options)}: "
                "evaluate with the options that it was drawn with, or leave evaluation.panel out to draw a new one"
            )

    def tasks(self, environment: Environment) -> list[Task]:
        """The panel's tasks, in its order.

        Raises PanelError when the environment is another, has other options, or lacks a task.
        """
        self.check_environment(environment)
        by_id = _tasks_by_id(environment, self.split)
        missing = [task_id for task_id in self.task_ids if task_id not in by_id]
        if missing:
            raise PanelError(
                f"{len(missing)} of {len(self)} tasks of the panel are not in split {self.split!r} of "
                f"{self.environment}, for example {missing[0]!r}: install the data that the panel was drawn "
                "from, or draw a new panel"
            )
        return [by_id[task_id] for task_id in self.task_ids]

    def check_disjoint(self, train_tasks: Iterable[Task]) -> None:
        """Raises PanelError when a task of the panel is among the training tasks."""
        trained = train_tasks.holds if isinstance(train_tasks, LazyTasks) else {t.id for t in train_tasks}.__contains__
        shared = [task_id for task_id in self.task_ids if trained(task_id)]
        if shared:
            raise PanelError(
                f"{len(shared)} of {len(self)} tasks of the panel are training tasks, for example "
                f"{shared[0]!r}: give evaluation.split or evaluation.panel tasks that are not trained on"
            )

    def save(self, path: Path) -> None:
        """Write the panel and its hash as JSON, atomically."""
        panel_format.write(path, self._hashed(), list(self.task_types), self.settings)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a saved panel. Raises PanelError when it is missing, malformed or was edited."""
        entries = panel_format.read(path)
        return cls(
            entries["environment"],
            entries["options"],
            entries["split"],
            entries["seed"],
            tuple(entries["task_ids"]),
            tuple(entries["task_types"]),
            entries["settings"],
        )

    def _hashed(self) -> dict[str, Any]:
        return {
            "environment": self.environment,
            "options": self.options,
            "split": self.split,
            "seed": self.seed,
            "task_ids": list(self.task_ids),
        }

    def _other(self, options: Options) -> str:
        """`` (things is 12 in the panel and 24 here)``, or nothing where the panel does not say."""
        here = task_options(options)
        differing = [
            f"{key} is {self.settings[key]} in the panel and {here[key]} here"
            for key in here.keys() & self.settings
            if here[key] != self.settings[key]
        ]
        return f" ({', '.join(sorted(differing))})" if differing else ""


def _tasks_by_id(environment: Environment, split: str) -> dict[str, Task]:
    if split not in _splits(environment):
        raise PanelError(
            f"{environment.name} has no split {split!r}: set evaluation.split to one of {', '.join(environment.splits)}"
        )
    tasks: Sequence[Task] = environment.tasks(split)
    by_id = {task.id: task for task in tasks}
    if len(by_id) != len(tasks):
        raise PanelError(
            f"split {split!r} of {environment.name} lists {len(tasks) - len(by_id)} tasks twice: "
            "give every task its own id"
        )
    return by_id


def _check_texts(*names: Sequence[str]) -> None:
    """Raises PanelError for an id or a type that is no text of Unicode."""
    for name in (name for several in names for name in several):
        try:
            name.encode()
        except UnicodeEncodeError:
            raise PanelError(
                f"the environment names a task or a type {name!r}, with half of a surrogate pair, which no file can "
                "hold: give it another name"
            ) from None


def _splits(environment: Environment) -> Sequence[str]:
    """An instance may list only those of its class's splits whose data are there: asking for another one then
    makes it name the remedy."""
    declared = type(environment).splits
    return declared if set(environment.splits) <= set(declared) else environment.splits


def _order(seed: int, kind: str, name: str) -> bytes:
    """A sort key that is random in the name, the same on every machine and version."""
    return hashlib.sha256(f"{seed}\0{kind}\0{name}".encode("utf-8", "surrogatepass")).digest()
