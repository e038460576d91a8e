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

import shlex
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from sdar_cli.launch.slurm_profile import Profile, read
from sdar_cli.recipe import trust
from sdar_cli.sweep.storage import has_secret

STORAGE_VARIABLE = "SDAR_SWEEP_STORAGE"
"""Environment variable of a storage URL that no script should hold."""


class SlurmProfile(Profile):
    """A worker is a task of the array, and takes one node's GPUs."""

    array: Annotated[int, Field(ge=1, le=10_000)] = 4
    """Workers."""
    at_once: Annotated[int, Field(ge=1)] | None = None
    """Workers that run at a time, at most."""

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
    return read(path, SlurmProfile)


def script(profile: SlurmProfile, study: str, *, root: Path, folder: Path, storage: str | None = None) -> str:
    """The batch script.

    Args:
        profile: the cluster's.
        study: its name.
        root: the runs folder, as all nodes see it.
        folder: where the study was made, to which paths in its recipe are relative.
        storage: URL of its database, if it has one.
    """
    lines = profile.directives(
        f"sdar-{study}",
        ntasks=1,
        array=f"0-{profile.array - 1}" + (f"%{profile.at_once}" if profile.at_once else ""),
        signal=f"B:USR1@{profile.signal}",
    )
    worker = f"exec sdar sweep worker {shlex.quote(study)} --runs {shlex.quote(str(root))}"
    if trust.asked():
        worker += f" {trust.OPTION}"
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
            profile.grace,
            "# exec: Slurm signals this shell, and the worker is to get it",
            worker,
            "",
        ]
    )
