"""Kill a training at random instants with SIGKILL, resume it, and compare with one that was left alone.

    python benchmarks/kills.py [--kills 6] [--seed 0]

Compared are the final weights, bit by bit, and every step's metrics but seconds. The training is a short
quickstart; its warm-up is shared through the cache, so the kills fall on evaluation, rollouts, updates,
checkpoints and tracking.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sdar_cli.runs.store import RunFolder
from sdar_cli.tracking.journal import Journal

SHORT = [
    "train.steps=10",
    "train.checkpoint_every=2",
    "rollout.tasks=2",
    "rollout.group=4",
    "evaluation.tasks=24",
    "warmup.demonstrations=400",
    "warmup.required_success=0",
    "tracking.system_metrics=false",
]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        start(root, "warm").wait()
        began = time.monotonic()
        start(root, "quiet").wait()
        seconds = time.monotonic() - began
        expected = outcome(root / "quiet")
        same = 0
        print(f"{'kill':>4} {'after':>8} {'at step':>8} {'resumes':>8}  equal to the quiet run")
        for number in range(options.kills):
            same += one(root, number, draw.uniform(0.2, 1.0) * seconds, expected)
    print(f"\n{same} of {options.kills} runs ended bit-identical")
    return int(same < options.kills)


def one(root: Path, number: int, after: float, expected: tuple) -> bool:
    name = f"killed-{number}"
    process = start(root, name)
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    run = root / name
    step = len(rows(run)) if run.exists() else 0
    resumes = 0
    finished = process.returncode == 0
    if not finished and not (run / "run.json").exists():
        finished = start(root, name + "-again").wait() == 0
        run = root / f"{name}-again"
    finished = finished or RunFolder.open(run).state.status == "finished"  # killed on its way out
    while not finished and resumes < 3:
        resumes += 1
        finished = sdar(root, "resume", name).wait() == 0
    equal = finished and outcome(run) == expected
    print(f"{number:>4} {after:>6.1f} s {step:>8} {resumes:>8}  {'yes' if equal else 'NO'}", flush=True)
    return equal


def start(root: Path, name: str) -> subprocess.Popen:
    return sdar(root, "train", "--recipe", "quickstart", "--name", name, *SHORT)


def sdar(root: Path, *words: str) -> subprocess.Popen:
    command = [str(Path(sys.executable).with_name("sdar")), *words, "--runs", str(root)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, env=os.environ | {"SDAR_CACHE": str(root / "cache")}, **quiet)


def rows(run: Path) -> list[dict[str, float]]:
    return [row for row in Journal(run / "metrics.jsonl").read() if "loss/total" in row]


def outcome(run: Path) -> tuple:
    """Hash of the final weights, and every step's metrics without seconds."""
    weights = sorted((run / "checkpoints").glob("step-*/model.safetensors"), key=lambda path: int(path.parent.name[5:]))
    metrics = [
        {k: v for k, v in row.items() if not k.startswith("time/")} for row in Journal(run / "metrics.jsonl").read()
    ]
    return hashlib.sha256(weights[-1].read_bytes()).hexdigest(), metrics


if __name__ == "__main__":
    sys.exit(main())
