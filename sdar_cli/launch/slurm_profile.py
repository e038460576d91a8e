"""What a Slurm cluster wants to know of a job, typed: shared by studies (a job array) and trainings (many nodes)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

from sdar_cli.recipe.typed_file import read_typed


def _matching(pattern: str, words: str) -> Any:
    """Text (or a whole number) of that form; ``words`` say which."""

    def check(value: Any, info: ValidationInfo) -> str:
        text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
        if not re.fullmatch(pattern, text):
            raise ValueError(f"{info.field_name} is {value!r}, but must be {words}: correct it")
        return text

    return Annotated[str, BeforeValidator(check)]


Word = _matching(r"[\w.,:@%+=/\[\]&|!*-]{1,200}", "one word")
Gpus = _matching(r"\d{1,4}|[\w.-]+:\d{1,4}", "a number, or kind:number such as a100:1")
Time = _matching(r"\d+|\d+:\d{2}|(?:\d+-)?\d+:\d{2}:\d{2}|\d+-\d+(?::\d{2})?", "a time such as 12:00:00 or 2-00:00:00")
Memory = _matching(r"\d+[KMGT]?", "a size such as 32G")
Line = _matching(r"[^\n\r\0]+", "a line of shell")
Option = _matching(r"--[a-z][\w-]*(?:=[^\n\r\0]*)?", "an option of sbatch such as --exclude=node7")


class Profile(BaseModel):
    """Times as Slurm writes them: ``12:00:00``, ``2-00:00:00``, or minutes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    partition: Word | None = None
    account: Word | None = None
    qos: Word | None = None
    constraint: Word | None = None
    gpus: Gpus = "1"
    """A node's, as ``--gpus-per-node``: a number, or ``a100:1``; 0: none."""
    cpus: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """A task's."""
    memory: Memory | None = None
    """A node's: ``32G``."""
    time: Time
    signal: Annotated[int, Field(ge=10, le=3600)] = 120
    """Seconds before the time is up at which a run is told to save and leave (SIGUSR1)."""
    setup: list[Line] = []
    """Lines of shell before the command."""
    sbatch: list[Option] = []
    """Further options of sbatch, one a line: ``--exclude=node7``."""

    @property
    def grace(self) -> str:
        """A line of shell: how long a run may take to save, a little before Slurm would end it."""
        return f"export SDAR_GRACE={self.signal - 10}"

    def directives(self, name: str, **more: Any) -> list[str]:
        """``#SBATCH`` lines; ``more`` are options with ``_`` for ``-``, None left out."""
        options: dict[str, Any] = {
            "job-name": name,
            "partition": self.partition,
            "account": self.account,
            "qos": self.qos,
            "constraint": self.constraint,
            "nodes": more.pop("nodes", 1),
            **({"ntasks": more.pop("ntasks")} if "ntasks" in more else {}),
            **({"ntasks-per-node": more.pop("ntasks_per_node")} if "ntasks_per_node" in more else {}),
            "gpus-per-node": None if self.gpus == "0" else self.gpus,
            "cpus-per-task": self.cpus,
            "mem": self.memory,
            "time": self.time,
            **{option.replace("_", "-"): value for option, value in more.items()},
            "open-mode": "append",
        }
        lines = [f"#SBATCH --{option}={value}" for option, value in options.items() if value is not None]
        lines.append("#SBATCH --requeue")  # what goes on by itself may be preempted, or lose its node
        return lines + [f"#SBATCH {option}" for option in self.sbatch]


P = TypeVar("P", bound=Profile)


def read(path: Path, kind: type[P]) -> P:
    """
    Raises:
        RecipeError: the file is no YAML.
        UserError: a key or value is wrong; one sentence each.
    """
    return read_typed(path, kind, write="at least 'time: 12:00:00'")
