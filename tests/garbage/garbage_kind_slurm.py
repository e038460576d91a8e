"""Profiles of a cluster, for ``--slurm``."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import garbage_yaml as y
from harness import Call, Kind, Outcome

TREE: dict[str, Any] = {
    "partition": "gpu",
    "account": "my-group",
    "constraint": "a100|h100",
    "gpus": "a100:2",
    "cpus": 8,
    "memory": "32G",
    "time": "12:00:00",
    "signal": 60,
    "nodes": 2,
    "setup": ["module load cuda; echo 'größer 🦊'", "source .venv/bin/activate"],
    "sbatch": ["--exclude=node7"],
}
INJECTED = (
    "gpu\\n#SBATCH --wrap=owned",
    "a b",
    "a;b",
    "$(touch owned)",
    "`id`",
    "a\\u2028b",
    "x" * 201,
    "",
    "a'b",
    '\\"',
    "../a b",
)


SAMPLE = y.YamlSample(
    tree=lambda random: TREE,
    words=lambda name: ["train", "--recipe", "quickstart", "--name", "one", "--slurm", name, "--json"],
    strict=[("cpus",), ("signal",), ("nodes",), ("setup",), ("sbatch",)],
    nullable=[("cpus",)],
    whole=[("cpus",), ("signal",), ("nodes",)],
    required=[("time",)],
    keyed=[(key,) for key in TREE],
    sections=[()],
    texts=[("setup", 0)],
)


def plain(folder: Path, random: Random) -> Call:
    return SAMPLE.call(folder, y.block(TREE))


def read_back(outcome: Outcome) -> str:
    return json.loads(outcome.out)["script"].replace(str(outcome.folder), "FOLDER")


def escape(folder: Path, random: Random) -> Call:
    """Values that would be more than a word of a script."""
    key = random.choice(("partition", "account", "gpus", "memory", "time"))
    at, raw = random.choice(
        (
            ((key,), f'"{random.choice(INJECTED)}"'),
            (("setup", 0), '"a\\nb"'),
            (("sbatch", 0), random.choice(('"x"', "-x", '"--a\\nb"', '"--A=b"', "''"))),
        )
    )
    return SAMPLE.call(folder, y.spliced(TREE, at, raw, random))


KIND = Kind("slurm", plain, {**y.refused(SAMPLE), "escape": escape}, y.spellings(SAMPLE), read_back, y.either(SAMPLE))
