"""A training on one or many nodes of a Slurm cluster, as a batch script.

partition: gpu
nodes: 2
gpus: 8                 # a node's, and so its processes
time: "24:00:00"
setup:
  - source .venv/bin/activate
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from sdar_cli.launch.slurm_profile import Profile, read

PORTS = 20000
"""Where the nodes meet: this, and the job's number, so that jobs on one node do not meet each other."""


class TrainingProfile(Profile):
    """One task a node, which starts a process a GPU."""

    nodes: Annotated[int, Field(ge=1, le=10_000)] = 1

    @property
    def processes(self) -> int:
        """A node's; one where there is no GPU."""
        return max(1, int(self.gpus.rpartition(":")[2]))


def read_profile(path: Path) -> TrainingProfile:
    """
    Raises:
        RecipeError: the file is no YAML.
        UserError: a key or value is wrong; one sentence each.
    """
    return read(path, TrainingProfile)


def script(profile: TrainingProfile, command: Sequence[str], more: Sequence[str], *, run: Path, folder: Path) -> str:
    """The batch script; submitted again, or requeued, it goes on with the run.

    Args:
        command: ``sdar train …``, which names the run.
        more: options of the launch that are not the profile's.
        run: the folder that the run will have, as all nodes see it.
        folder: where the script was made, to which paths in the command are relative.
    """
    at = command.index("train") + 1
    command = [*command[:at], *["--auto-resume"] * ("--auto-resume" not in command), *command[at:]]
    # Without B: Slurm tells the task of every node, and not this shell, which waits for them.
    lines = profile.directives(
        f"sdar-{run.name}", nodes=profile.nodes, ntasks_per_node=1, signal=f"USR1@{profile.signal}"
    )
    processes = f'--nproc {profile.processes} --nnodes "$SLURM_JOB_NUM_NODES" --rdzv "$head:$port"'
    return "\n".join(
        [
            "#!/bin/bash",
            f"# The run {run.name}. Submitted again, or requeued, it goes on from its last checkpoint.",
            *lines,
            "set -eo pipefail",
            f"cd {shlex.quote(str(folder))}",
            *profile.setup,
            # Since Slurm 22.05 srun does not take it from sbatch, and would leave a node's processes one core.
            *([] if profile.cpus is None else [f"export SRUN_CPUS_PER_TASK={profile.cpus}"]),
            'read -r head < <(scontrol show hostnames "$SLURM_JOB_NODELIST")',
            f"port=$(({PORTS} + SLURM_JOB_ID % {PORTS}))",
            profile.grace,
            " ".join(["srun --kill-on-bad-exit=1", shlex.join(command), processes, *map(shlex.quote, more)]),
            "",
        ]
    )
