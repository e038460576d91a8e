"""A study's workers as a Slurm job array.

partition: gpu
account: my-group
gpus: 1
time: "12:00:00"
array: 8                # workers; at_once: 4 lets four of them run at a time
setup:
  - module load cuda
  - source .venv/bin/activate
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo, model_validator

from sdar_cli.errors import UserError
from sdar_cli.recipe.explain import schema_keys, sentences
from sdar_cli.recipe.yaml_reader import read_file
from sdar_cli.sweep.storage import has_secret

STORAGE_VARIABLE = "SDAR_SWEEP_STORAGE"
"""Environment variable of a storage URL that no script should hold."""


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


class SlurmProfile(BaseModel):
    """What a cluster wants to know. Times as Slurm writes them: ``12:00:00``, ``2-00:00:00``, or minutes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    partition: Word | None = None
    account: Word | None = None
    qos: Word | None = None
    constraint: Word | None = None
    gpus: Gpus = "1"
    """A worker's, as ``--gpus-per-node``: a number, or ``a100:1``; 0: none."""
    cpus: Annotated[int, Field(ge=1)] | None = None
    """A worker's."""
    memory: Memory | None = None
    """A worker's: ``32G``."""
    time: Time
    array: Annotated[int, Field(ge=1, le=10_000)] = 4
    """Workers."""
    at_once: Annotated[int, Field(ge=1)] | None = None
    """Workers that run at a time, at most."""
    signal: Annotated[int, Field(ge=10, le=3600)] = 120
    """Seconds before the time is up at which a worker is told to save its run and leave."""
    setup: list[Line] = []
    """Lines of shell before the worker."""
    sbatch: list[Option] = []
    """Further options of sbatch, one a line: ``--exclude=node7``."""

    @model_validator(mode="after")
    def _at_most_all(self) -> SlurmProfile:
        if self.at_once is not None and self.at_once > self.array:
            raise ValueError(f"at_once={self.at_once} is more than array={self.array}: lower it, or leave it out")
        return self


def read_profile(path: Path) -> SlurmProfile:
    """
    Raises:
        RecipeError: the file is no YAML.
        UserError: a key or value is wrong; one sentence each.
    """
    document = read_file(path)

    def where(dotted: str) -> str:
        line = document.lines.get(dotted.split(".")[0])
        return str(path) if line is None else f"{path}:{line}"

    if not isinstance(document.value, dict):
        raise UserError(f"{path} holds no keys and values: write at least 'time: 12:00:00'")
    try:
        return SlurmProfile.model_validate(document.value)
    except ValidationError as error:
        raise UserError("\n".join(sentences(error, where, schema_keys(SlurmProfile)))) from None


def script(profile: SlurmProfile, study: str, *, root: Path, folder: Path, storage: str | None = None) -> str:
    """The batch script.

    Args:
        profile: the cluster's.
        study: its name.
        root: the runs folder, as all nodes see it.
        folder: where the study was made, to which paths in its recipe are relative.
        storage: URL of its database, if it has one.
    """
    options: dict[str, Any] = {
        "job-name": f"sdar-{study}",
        "partition": profile.partition,
        "account": profile.account,
        "qos": profile.qos,
        "constraint": profile.constraint,
        "nodes": 1,
        "ntasks": 1,
        "gpus-per-node": None if profile.gpus == "0" else profile.gpus,
        "cpus-per-task": profile.cpus,
        "mem": profile.memory,
        "time": profile.time,
        "array": f"0-{profile.array - 1}" + (f"%{profile.at_once}" if profile.at_once else ""),
        "signal": f"B:TERM@{profile.signal}",
        "open-mode": "append",
    }
    lines = [f"#SBATCH --{name}={value}" for name, value in options.items() if value is not None]
    lines += [f"#SBATCH {option}" for option in profile.sbatch]
    worker = f"exec sdar sweep worker {shlex.quote(study)} --runs {shlex.quote(str(root))}"
    secret = storage is not None and has_secret(storage)
    if storage is not None and not secret:
        worker += f" --storage {shlex.quote(storage)}"
    return "\n".join(
        [
            "#!/bin/bash",
            f"# Workers of the study {study}. Submit it again and it goes on: what is done is not run twice.",
            *lines,
            "set -eo pipefail",
            f"cd {shlex.quote(str(folder))}",
            *profile.setup,
            *(
                [f': "${{{STORAGE_VARIABLE}:?set it to the URL of the database that holds the study}}"']
                if secret
                else []
            ),
            "# exec: Slurm signals this shell, and the worker is to get it",
            worker,
            "",
        ]
    )
