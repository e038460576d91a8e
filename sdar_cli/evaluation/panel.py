"""A panel: a frozen list of task ids, with its split, seed and hash, on which checkpoints are compared.

panel = Panel.make(environment, split="test", size=128, seed=0)
panel.check_disjoint(environment.tasks("train"))
panel.save(Path("panel.json"))
Panel.load(Path("panel.json")).tasks(environment)
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from sdar_cli.errors import PanelError
from sdar_cli.evaluation.files import digest, write_json
from sdar_envs.base import Environment, Options, Task

FORMAT = 1


def options_digest(options: Options) -> str:
    """Hash of those of an environment's options that say what a task is (all but ``beside_tasks``)."""
    return digest(options.model_dump(mode="json", exclude=set(options.beside_tasks)))


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

    @property
    def digest(self) -> str:
        """SHA-256 over all of the above as canonical JSON."""
        return digest(self._content())

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
        return cls(environment.name, options_digest(environment.options), split, seed, tuple(chosen))

    def tasks(self, environment: Environment) -> list[Task]:
        """The panel's tasks, in its order.

        Raises PanelError when the environment is another, has other options, or lacks a task.
        """
        if environment.name != self.environment:
            raise PanelError(
                f"the panel was drawn from {self.environment}, not from {environment.name}: "
                f"use a panel of {environment.name}, or leave evaluation.panel out"
            )
        if options_digest(environment.options) != self.options:
            raise PanelError(
                f"the panel was drawn from {self.environment} with other options: evaluate with the options "
                "that it was drawn with, or leave evaluation.panel out to draw a new one"
            )
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
        train = {task.id for task in train_tasks}
        shared = [task_id for task_id in self.task_ids if task_id in train]
        if shared:
            raise PanelError(
                f"{len(shared)} of {len(self)} tasks of the panel are training tasks, for example "
                f"{shared[0]!r}: give evaluation.split or evaluation.panel tasks that are not trained on"
            )

    def save(self, path: Path) -> None:
        """Write the panel and its hash as JSON, atomically."""
        write_json(path, {"format": FORMAT, "digest": self.digest, **self._content()})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a saved panel. Raises PanelError when it is missing, malformed or was edited."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise PanelError(
                f"the panel {path} cannot be read ({error.strerror or error}): "
                "give evaluation.panel a file that sdar wrote"
            ) from error
        except (ValueError, RecursionError) as error:
            raise PanelError(f"the panel {path} is not JSON: give a file that sdar wrote") from error
        panel = cls._parse(content, path)
        if content["digest"] != panel.digest:
            raise PanelError(
                f"the panel {path} was edited: its content hashes to {panel.digest[:12]}, not to "
                f"{str(content['digest'])[:12]}, so restore the file or draw a new panel"
            )
        return panel

    @classmethod
    def _parse(cls, content: Any, path: Path) -> Self:
        kinds: dict[str, type] = dict.fromkeys(("digest", "environment", "options", "split"), str)
        kinds |= {"seed": int, "task_ids": list}
        if not isinstance(content, dict):
            raise PanelError(f"the panel {path} is not a JSON object: give a file that sdar wrote")
        for key, kind in kinds.items():
            if type(content.get(key)) is not kind:
                raise PanelError(
                    f"the panel {path} has no {key!r} of type {kind.__name__}: "
                    "give a file that sdar wrote, or draw a new panel"
                )
        if content.get("format") != FORMAT or set(content) - set(kinds) - {"format"}:
            raise PanelError(f"the panel {path} is not of format {FORMAT}: draw a new panel with this version of sdar")
        ids = content["task_ids"]
        if not ids or not all(type(task_id) is str for task_id in ids) or len(set(ids)) != len(ids):
            raise PanelError(f"the task_ids of the panel {path} are empty, repeated or not texts: draw a new panel")
        return cls(content["environment"], content["options"], content["split"], content["seed"], tuple(ids))

    def _content(self) -> dict[str, Any]:
        return {
            "environment": self.environment,
            "options": self.options,
            "split": self.split,
            "seed": self.seed,
            "task_ids": list(self.task_ids),
        }


def _tasks_by_id(environment: Environment, split: str) -> dict[str, Task]:
    if split not in environment.splits:
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


def _order(seed: int, kind: str, name: str) -> bytes:
    """A sort key that is random in the name, the same on every machine and version."""
    return hashlib.sha256(f"{seed}\0{kind}\0{name}".encode("utf-8", "surrogatepass")).digest()
