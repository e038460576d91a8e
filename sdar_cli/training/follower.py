"""What a process of a run has in the place of folder and tracker when another one writes: nothing is kept."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdar_cli.runs.state import RunState
from sdar_cli.runs.store import RunFolder


@dataclass(frozen=True, slots=True)
class FollowedRun(RunFolder):
    """A run's folder that another process of the same run holds and writes."""

    told: RunState
    """``run.json`` as it was when the processes met."""

    @property
    def state(self) -> RunState:
        return self.told

    def update(self, **changes: Any) -> RunState:
        return self.told

    def lock(self) -> nullcontext:
        return nullcontext()

    def save_evaluation(self, name: str, value: Any) -> Path:
        return self.path / "evaluations" / f"{name}.json"

    def prune_checkpoints(self, keep: int, keep_best: int = 0) -> None:
        pass


class SilentTracker:
    """Takes what a watch tells of its findings."""

    run_id = ""

    def tag(self, key: str, value: str) -> None:
        pass

    def untag(self, key: str) -> None:
        pass

    def sync(self) -> None:
        pass

    def finish(self, status: str = "FINISHED") -> None:
        pass

    def close(self, seconds: float | None = None) -> None:
        pass
