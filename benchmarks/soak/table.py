"""Short trainings, each killed in one phase and resumed until it ends; a line each."""

from __future__ import annotations

import random
import statistics
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdar_cli.runs.state import RunStatus
from sdar_cli.runs.store import RunFolder
from soak.evidence import MLFLOW, PHASES, RECORD, Evidence, Hit
from soak.moments import AIMS, Quiet
from soak.outcome import difference, outcome, rollouts
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
    f"rollout.record={RECORD}",
)
"""Everything that has a state: a moving average as the teacher, a bandit as the retrieval, evaluations in between."""
MOST = 6
"""Resumptions after which a run is given up."""
AGAIN = 3
"""Every so many-th run is killed a second time, in its resumption."""
COLD = 6
"""… and every so many-th has no warm-up in its cache."""


@dataclass(frozen=True, slots=True)
class Line:
    number: int
    aim: str
    kills: tuple[tuple[float, Hit], ...]
    """Seconds after the start, and what was hit."""
    resumes: int
    difference: str | None


def table(scratch: Path, kills: int, jobs: int, seed: int) -> list[Line]:
    """Run and print it. Each job has a store of its own."""
    homes = [scratch / f"job-{number}" for number in range(jobs)]
    with ThreadPoolExecutor(jobs) as pool:
        quiets = list(pool.map(_quiet, homes))
    expected, quiet = quiets[0]
    for other, _ in quiets[1:]:
        if (found := difference(expected, other)) is not None:
            raise SystemExit(f"two undisturbed runs differ already: {found}")
    seconds = statistics.median(quiet.total for _, quiet in quiets)
    print(f"undisturbed: {seconds:.1f} s, {len(expected)} parts compared\n")
    print(f"{'run':>4}  {'aimed at':<14} {'after':>7}  {'hit':<34} {'resumes':>7}  equal", flush=True)

    def work(job: int) -> list[Line]:
        return [
            _show(one(homes[job], number, list(AIMS)[number % len(AIMS)], seed, quiet, expected))
            for number in range(job, kills, jobs)
        ]

    with ThreadPoolExecutor(jobs) as pool:
        return [line for part in pool.map(work, range(jobs)) for line in part]


def verdict(lines: list[Line]) -> tuple[bool, str]:
    """Whether all is well, and what came out: how many runs ended alike, and which phases were hit, not aimed at.

    A kill counts for the phase that it hit, and for MLflow logging beside where writes were under way.
    """
    hits = [hit for line in lines for _, hit in line.kills]
    counts = Counter(hit.phase for hit in hits)
    counts[MLFLOW] = sum(hit.unsent > 0 for hit in hits)
    named = [*PHASES, MLFLOW, *sorted(counts.keys() - {*PHASES, MLFLOW})]
    equal = sum(line.difference is None for line in lines)
    said = (
        f"{equal} of {len(lines)} runs ended bit-identical, after {len(hits)} kills, hit in: "
        + ", ".join(f"{name} {counts[name]}" for name in named)
        + f" ({MLFLOW} goes on beside the others)"
    )
    missed = [name for name in (*PHASES, MLFLOW) if not counts[name]]
    if missed:
        said += f"; NO kill hit {', '.join(missed)}"
    return equal == len(lines) and not missed, said


def one(home: Path, number: int, aim: str, seed: int, quiet: Quiet, expected: dict[str, Any]) -> Line:
    """Train, kill at the aim, resume until the end, compare."""
    draw = random.Random(f"{seed}/{number}")
    name = f"killed-{number}"
    cache = home / "cache" if (number // len(AIMS)) % COLD else home / f"cold-{number}"
    kills: list[tuple[float, Hit]] = []
    resumes = -1
    finished = False
    while not finished and resumes < MOST:
        resumes += 1
        seen = Evidence(home / "runs" / name, _folder(home, name) / RECORD)
        process = _train(home, name, cache, "--auto-resume")
        began = time.monotonic()
        if resumes == 0 or (resumes == 1 and number % AGAIN == 0):
            AIMS[aim if resumes == 0 else draw.choice(list(AIMS))](draw, seen, process, quiet)
            if not process.over:
                seconds = time.monotonic() - began
                process.kill()
                kills.append((seconds, seen.hit(process)))
        finished = process.wait() == 0
    if not finished:
        return Line(number, aim, tuple(kills), resumes, f"it did not end: {process.said().strip().splitlines()[-1:]}")
    run = RunFolder.open(home / "runs" / name)
    if run.state.status is not RunStatus.FINISHED:
        return Line(number, aim, tuple(kills), resumes, f"it ended with the status {run.state.status.value}")
    return Line(number, aim, tuple(kills), resumes, difference(expected, _outcome(home, name)))


def _quiet(home: Path) -> tuple[dict[str, Any], Quiet]:
    """The undisturbed run, after one that fills the cache with the warm-up."""
    home.mkdir(parents=True)
    for name in ("warm", "quiet"):
        began = time.monotonic()
        process = _train(home, name, home / "cache")
        if process.wait() != 0:
            raise SystemExit(f"the undisturbed run failed: {process.said()}")
    return _outcome(home, "quiet"), Quiet.of(home / "runs" / "quiet", time.monotonic() - began)


def _train(home: Path, name: str, cache: Path, *more: str) -> Sdar:
    """In a folder of its own, where its rollouts are recorded."""
    folder = _folder(home, name)
    folder.mkdir(parents=True, exist_ok=True)
    words = ("train", *more, "--recipe", "quickstart", "--name", name, "--runs", str(home / "runs"), *SHORT)
    return Sdar(home / f"{name}.log", *words, cache=cache, folder=folder)


def _folder(home: Path, name: str) -> Path:
    return home / "work" / name


def _outcome(home: Path, name: str) -> dict[str, Any]:
    found = outcome(RunFolder.open(home / "runs" / name), home / "runs" / "mlflow.db")
    return found | rollouts(_folder(home, name) / RECORD)


def _show(line: Line) -> Line:
    after, what = line.kills[0] if line.kills else (float("nan"), "it had ended before")
    verdict = "yes" if line.difference is None else f"NO: {line.difference}"
    print(f"{line.number:>4}  {line.aim:<14} {after:>5.1f} s  {what!s:<34.34} {line.resumes:>7}  {verdict}", flush=True)
    for after, what in line.kills[1:]:
        print(f"{'':>4}  {'again':<14} {after:>5.1f} s  {what!s:<34.34}", flush=True)
    return line
