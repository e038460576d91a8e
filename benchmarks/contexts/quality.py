"""The quickstart recipe under both contexts, paired by seed: what was trained, and its differences."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from contexts.tokens import CONTEXTS
from sdar_cli.statistics import Interval, mean_over_seeds, seed_difference

HERE = Path(__file__).resolve().parent.parent
CSV = HERE / "results" / "contexts-seeds.csv"
SHARED = ("rollout.max_prompt_tokens=512", "warmup.required_success=0.5")
"""A conversation of six turns fits into 512 tokens; and a warm-up that reads skills less well counts as well."""

Runs = Mapping[str, Mapping[int, Mapping[str, str]]]
"""Context → seed → a line of the CSV."""


def train(seeds: Sequence[int], runs: Path) -> int:
    """Every run that the CSV lacks, one after the other."""
    failed = 0
    for seed in seeds:
        for kind in CONTEXTS:
            command = [sys.executable, str(HERE / "seeds.py"), "--recipe", "quickstart", "--methods", "sdar"]
            command += ["--seeds", str(seed), "--runs", str(runs), "--csv", str(CSV)]
            failed += bool(subprocess.run([*command, f"rollout.context={kind}", *SHARED]).returncode)
    return int(failed > 0)


def read(path: Path) -> Runs:
    """Runs of seeds that both contexts have."""
    found: dict[str, dict[int, dict[str, str]]] = {kind: {} for kind in CONTEXTS}
    with path.open(encoding="utf-8", newline="") as lines:
        for line in csv.DictReader(lines):
            for kind in CONTEXTS:
                if f"rollout.context={kind}" in line["overrides"].split():
                    found[kind][int(line["seed"])] = line
    shared = sorted(found["window"].keys() & found["full"].keys())
    return {kind: {seed: found[kind][seed] for seed in shared} for kind in CONTEXTS}


def mean(runs: Runs, kind: str, cell: str) -> Interval:
    return mean_over_seeds([float(line[cell]) for line in runs[kind].values()], grid=_grid(runs))


def difference(runs: Runs, cell: str) -> Interval:
    """Full − window, by Student's t over seeds."""
    pairs = [(runs["full"][seed][cell], line[cell]) for seed, line in runs["window"].items()]
    return seed_difference([float(full) - float(window) for full, window in pairs], grid=_grid(runs))


def _grid(runs: Runs) -> float:
    """The step of a success rate."""
    return 1 / int(next(iter(runs["window"].values()))["tasks"])
