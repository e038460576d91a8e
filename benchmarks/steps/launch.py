"""From nothing to the end of the first step: ``sdar train`` beside a script of TRL's, on the toy shape.

Each repetition starts both as processes of their own, in alternating order, with the same weights in a folder; the
first repetition is left out. Counted is the CPU time of the process and the children it has waited for until its first
step is written down, and the seconds on the clock. ``sdar`` opens its run and its MLflow store, which is there already,
and evaluates the base with and without skills on one task each, all of which TRL's script does not do. A second script
of TRL's reports to an MLflow store too.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from steps.toy import SHAPE, toy_recipe

SIDES = ("sdar", "TRL", "TRL with MLflow")
PAIRS = {
    f"first step, {time}: sdar / {other}": (f"sdar, {time}", f"{other}, {time}")
    for other in SIDES[1:]
    for time in ("CPU", "clock")
}
LIMIT = 300
"""Seconds until a side has failed."""


def measure(repeats: int, scratch: Path) -> dict[str, list[float]]:
    from make_trainer import random_base

    from sdar_cli.workshop import Workshop

    recipe = toy_recipe("sdar", 0.01)
    with Workshop.open(recipe) as workshop:
        base = random_base(workshop, scratch)
    times: dict[str, list[float]] = defaultdict(list)
    for repeat in range(repeats + 1):
        turn = repeat % len(SIDES)
        for number in (*range(turn, len(SIDES)), *range(turn)):
            side = SIDES[number]
            mark = scratch / f"runs/{number}-{repeat}/metrics.jsonl"
            mark.parent.parent.mkdir(exist_ok=True)
            command = (
                theirs(base, mark, "mlflow" if number == 2 else "none") if number else ours(base, mark.parent.name)
            )
            clock, busy = first_step(command, mark, scratch)
            if repeat:
                times[f"{side}, clock"].append(clock)
                times[f"{side}, CPU"].append(busy)
    return times


def ours(base: str, name: str) -> list[str]:
    changes = [change for change in SHAPE if "model.tiny" not in change]
    about = ["warmup=null", f"init_from={base}", "evaluation.tasks=1", "evaluation.transcripts=0", "train.steps=7"]
    sdar = str(Path(sys.executable).parent / "sdar")
    return [sdar, "train", "--recipe", "quickstart", "--name", name, *changes, *about]


def theirs(base: str, mark: Path, report: str) -> list[str]:
    return [sys.executable, str(Path(__file__).with_name("trl_script.py")), base, str(mark), report]


def first_step(command: Sequence[str], mark: Path, scratch: Path) -> tuple[float, float]:
    """Seconds on the clock and of CPU until a step is in the file; then the process is ended."""
    runs = scratch / "runs"
    environment = os.environ | {"SDAR_RUNS": str(runs), "NO_COLOR": "1"}
    environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{runs / 'mlflow.db'}"
    start = time.perf_counter()
    log = scratch / "log"
    with log.open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, env=environment, cwd=scratch)
    try:
        while not (mark.is_file() and '"step": 1' in mark.read_text(encoding="utf-8")):
            if process.poll() is not None or time.perf_counter() - start > LIMIT:
                raise SystemExit(f"{' '.join(command)} made no step: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.01)
        return time.perf_counter() - start, cpu_seconds(process.pid)
    finally:
        process.kill()
        process.wait()


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
