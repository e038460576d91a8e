"""What a checkpoint says of the processes that wrote it, and whether those of now can go on from it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sdar_cli.errors import RunError
from sdar_cli.launch import dist
from sdar_cli.training import ranks

if TYPE_CHECKING:
    from sdar_cli.runs.store import Checkpoint

STATE = "sdar.json"


def written_by() -> dict[str, Any]:
    """For the checkpoint's own state."""
    return {"processes": ranks.world(), "dist": dist.in_use()}


def check_processes(checkpoint: Checkpoint) -> str | None:
    """A note where the run goes on, but not as it would have.

    Raises:
        RunError: the moments of the optimiser lie in the checkpoint in a way that these processes cannot read.
    """
    told = json.loads((checkpoint.path / STATE).read_text(encoding="utf-8"))
    if "dist" not in told:  # of before it was written
        return None
    now = written_by()
    if told["dist"] != now["dist"]:
        raise RunError(
            f"the checkpoint {checkpoint.path} was written with --dist {told['dist']}, and its moments cannot be read "
            f"with {now['dist']}: resume with{_options(told)}"
        )
    if told["processes"] == now["processes"]:
        return None
    if told["dist"] == "zero3":
        raise RunError(
            f"the checkpoint {checkpoint.path} is divided among {told['processes']} processes, as --dist zero3 writes "
            f"it, and {now['processes']} cannot read it: resume with as many"
        )
    return (
        f"note: the checkpoint is of {_processes(told)} and {now['processes']} go on, with random states of their own: "
        "episodes differ from those of a run that was not interrupted"
    )


def _options(told: dict[str, Any]) -> str:
    many = f" --nproc {told['processes']}" if told["processes"] > 1 else " --nproc 1"
    return many if told["dist"] == "ddp" else f" --dist {told['dist']}"


def _processes(told: dict[str, Any]) -> str:
    return "one process" if told["processes"] == 1 else f"{told['processes']} processes"
