"""What a checkpoint says of the processes that wrote it, and whether those of now can go on from it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdar_cli.errors import RunError
from sdar_cli.launch import dist
from sdar_cli.reading import read_bytes, read_json
from sdar_cli.training import ranks
from sdar_cli.training.checkpoints.damaged import LARGEST, damaged, reading

if TYPE_CHECKING:
    from sdar_cli.runs.store import Checkpoint

STATE = "sdar.json"
"""In a checkpoint: the step, and the state that is ours."""
TRAINER_STATE = "trainer_state.json"
DEEPSPEED = "latest"
"""Of a checkpoint of before, in DeepSpeed's own format."""


def read_state(folder: Path) -> dict[str, Any]:
    """Our own state in a checkpoint: ``step``; where it has them, ``retriever``, ``memory``, ``processes``, ``dist``.

    Raises:
        RunError: the file is damaged.
    """
    file = folder / STATE
    with reading(file):
        told = read_json(file, LARGEST)
    if not isinstance(told, dict) or not _is_count(told.get("step")):
        raise damaged(file, "is not what a checkpoint has")
    if not isinstance(told.get("retriever", {}), dict) or told.get("dist", "ddp") not in ("ddp", "fsdp2", "zero3"):
        raise damaged(file, "is not what a checkpoint has")
    counts = [told.get("processes", 1), *_values(told.get("memory", {}))]
    if ("dist" in told) != ("processes" in told) or not all(_is_count(count) and count for count in counts):
        raise damaged(file, "is not what a checkpoint has")
    return told


def check_trainer_state(checkpoint: Checkpoint) -> None:
    """See that Hugging Face's loop can take up its own state, of which it believes every word.

    Raises:
        RunError: the file is damaged, or of another step.
    """
    from transformers import TrainerState

    file = checkpoint.path / TRAINER_STATE
    with reading(file):
        told = json.loads(read_bytes(file, LARGEST))  # with NaN, which a metric may be
        fresh = asdict(TrainerState())
        if not isinstance(told, dict) or not told.keys() <= fresh.keys():
            raise ValueError("it is no state of a trainer")
        numbers = ("epoch", "max_steps", "num_train_epochs", "train_batch_size", "save_steps", "logging_steps")
        if any(isinstance(told.get(name), str | list | dict) for name in (*numbers, "eval_steps", "total_flos")):
            raise ValueError("it has words where numbers are due")
        if told.get("global_step") != checkpoint.step or isinstance(told["global_step"], bool):
            raise ValueError(f"it is not of step {checkpoint.step}")
        if not isinstance(told.get("log_history"), list) or "TrainerControl" not in told["stateful_callbacks"]:
            raise ValueError("it lacks what was logged")


def written_by() -> dict[str, Any]:
    """For the checkpoint's own state."""
    return {"processes": ranks.world(), "dist": dist.in_use()}


def check_processes(checkpoint: Checkpoint) -> str | None:
    """A note where the run goes on, but not as it would have.

    Raises:
        RunError: the moments of the optimiser lie in the checkpoint in a way that these processes cannot read.
    """
    told = read_state(checkpoint.path)
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
    if (checkpoint.path / DEEPSPEED).is_file():
        raise RunError(
            f"the checkpoint {checkpoint.path} is divided among {told['processes']} processes, as --dist zero3 once "
            f"wrote it, and {now['processes']} cannot read it: resume with as many"
        )
    return (
        f"note: the checkpoint is of {_processes(told)} and {now['processes']} go on, with random states of their own: "
        "episodes differ from those of a run that was not interrupted"
    )


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _values(told: Any) -> list[Any]:
    return list(told.values()) if isinstance(told, dict) else [None]


def _options(told: dict[str, Any]) -> str:
    many = f" --nproc {told['processes']}" if told["processes"] > 1 else " --nproc 1"
    return many if told["dist"] == "ddp" else f" --dist {told['dist']}"


def _processes(told: dict[str, Any]) -> str:
    return "one process" if told["processes"] == 1 else f"{told['processes']} processes"
