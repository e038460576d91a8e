"""Short trainings, each killed in one phase and resumed until it ends; a line each."""

from __future__ import annotations

import random
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdar_cli.runs.state import RunStatus
from sdar_cli.runs.store import RunFolder
from soak.moments import AIMS, Quiet, hit
from soak.outcome import difference, outcome
from soak.process import Sdar

SHORT = (
    "train.steps=10",
    "train.checkpoint_every=2",
    "train.keep_best=1",
    "rollout.tasks=2",
    "rollout.group=4",
    "evaluation.every=4",
    "evaluation.tasks=24",
    "evaluation.transcripts=4",
    "teacher.kind=ema",
    "skills.retrieval=ucb",
    "warmup.demonstrations=400",
    "warmup.required_success=0",
    "tracking.trace_every=2",
    "tracking.system_metrics=false",
)
"""Everything that has a state: a moving average as the teacher, a bandit as the retrieval, evaluations in between."""
AGAIN = 3
"""Every so many-th run is killed a second time, in its resumption."""
COLD = 6
"""… and every so many-th has no warm-up in its cache."""


@dataclass(frozen=True, slots=True)
class Line:
    number: int
    aim: str
    kills: tuple[tuple[float, str], ...]
    """Seconds after the start, and what was hit."""
    resumes: int
    difference: str | None


def table(scratch: Path, kills: int, jobs: int, seed: int) -> tuple[list[Line], float]:
    """Run it; returns the lines and the seconds that an undisturbed run took. Each job has a store of its own."""
    homes = [scratch / f"job-{number}" for number in range(jobs)]
    with ThreadPoolExecutor(jobs) as pool:
        quiets = list(pool.map(_quiet, homes))
    expected, quiet = quiets[0]
    for other, _ in quiets[1:]:
        if (found := difference(expected, other)) is not None:
            raise SystemExit(f"two undisturbed runs differ already: {found}")
    seconds = statistics.median(quiet.total for _, quiet in quiets)
    print(f"undisturbed: {seconds:.1f} s, {len(expected)} parts compared\n")
    print(f"{'kill':>4}  {'aimed at':<13} {'after':>7}  {'hit':<34} {'resumes':>7}  equal", flush=True)

    def work(job: int) -> list[Line]:
        return [
            _show(one(homes[job], number, list(AIMS)[number % len(AIMS)], seed, quiet, expected))
            for number in range(job, kills, jobs)
        ]

    with ThreadPoolExecutor(jobs) as pool:
        lines = [line for part in pool.map(work, range(jobs)) for line in part]
    equal = sum(line.difference is None for line in lines)
    total = sum(len(line.kills) for line in lines)
    print(f"\n{equal} of {kills} runs ended bit-identical, after {total} kills", flush=True)
    return lines, seconds


def one(home: Path, number: int, aim: str, seed: int, quiet: Quiet, expected: dict[str, Any]) -> Line:
    """Train, kill at the aim, resume until the end, compare."""
    draw = random.Random(f"{seed}/{number}")
    name = f"killed-{number}"
    root, log = home / "runs", home / f"{name}.log"
    cache = home / "cache" if (number // len(AIMS)) % COLD else home / f"cold-{number}"
    kills: list[tuple[float, str]] = []
    resumes = -1
    finished = False
    while not finished and resumes < 6:
        resumes += 1
        process = Sdar(
            log,
            "train",
            "--auto-resume",
            "--recipe",
            "quickstart",
            "--name",
            name,
            "--runs",
            str(root),
            *SHORT,
            cache=cache,
        )
        began = time.monotonic()
        if resumes == 0 or (resumes == 1 and number % AGAIN == 0):
            AIMS[aim if resumes == 0 else draw.choice(list(AIMS))](draw, root / name, process, quiet)
            if not process.over:
                process.kill()
                kills.append((time.monotonic() - began, hit(root / name)))
        finished = process.wait() == 0
    if not finished:
        return Line(number, aim, tuple(kills), resumes, f"it did not end: {process.said().strip().splitlines()[-1:]}")
    run = RunFolder.open(root / name)
    assert run.state.status is RunStatus.FINISHED
    return Line(number, aim, tuple(kills), resumes, difference(expected, outcome(run, root / "mlflow.db")))


def _quiet(home: Path) -> tuple[dict[str, Any], Quiet]:
    """The undisturbed run, after one that fills the cache with the warm-up."""
    home.mkdir(parents=True)
    totals = []
    for name in ("warm", "quiet"):
        began = time.monotonic()
        process = Sdar(
            home / f"{name}.log",
            "train",
            "--recipe",
            "quickstart",
            "--name",
            name,
            "--runs",
            str(home / "runs"),
            *SHORT,
            cache=home / "cache",
        )
        if process.wait() != 0:
            raise SystemExit(f"the undisturbed run failed: {process.said()}")
        totals.append(time.monotonic() - began)
    run = RunFolder.open(home / "runs" / "quiet")
    return outcome(run, home / "runs" / "mlflow.db"), Quiet.of(run.path, totals[-1])


def _show(line: Line) -> Line:
    after, what = line.kills[0] if line.kills else (float("nan"), "it had ended before")
    verdict = "yes" if line.difference is None else f"NO: {line.difference}"
    print(f"{line.number:>4}  {line.aim:<13} {after:>5.1f} s  {what:<34.34} {line.resumes:>7}  {verdict}", flush=True)
    for after, what in line.kills[1:]:
        print(f"{'':>4}  {'again':<13} {after:>5.1f} s  {what:<34.34}", flush=True)
    return line
