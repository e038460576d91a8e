"""One long training that is disturbed on and on, beside one of the same seed that is left alone."""

from __future__ import annotations

import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from sdar_cli.runs.store import RunFolder
from soak.disturb import Disturbed
from soak.outcome import difference, outcome
from soak.process import Sdar
from soak.server import Server

SETTINGS = (
    "train.checkpoint_every=20",
    "train.keep_best=1",
    "rollout.tasks=4",
    "rollout.group=4",
    "environment.name=" + str(Path(__file__).with_name("household_apart.py")) + ":HouseholdApart",
    "environment.timeout=15",
    "evaluation.every=100",
    "evaluation.tasks=48",
    "evaluation.transcripts=4",
    "teacher.kind=ema",
    "skills.retrieval=ucb",
    "warmup.required_success=0",
    "tracking.trace_every=10",
    "tracking.traces=4",
    "tracking.system_metrics=false",
)
PROBE = 40
"""Steps of the training that tells how many fit into the time."""


def long(scratch: Path, minutes: float, seed: int) -> bool:
    """Run both at once; prints each disturbance with what it cost, and whether the two ended alike."""
    scratch.mkdir(parents=True)
    began = time.monotonic()
    steps = _steps_that_fit(scratch, minutes * 60)
    settings = (*SETTINGS, f"train.steps={steps}")
    print(f"\nlong training: {steps} steps, {minutes:.0f} minutes\n", flush=True)
    until = began + 0.8 * minutes * 60
    with ExitStack() as stack, ThreadPoolExecutor(1) as pool:
        quiet = pool.submit(_quiet, scratch, settings)
        server = stack.enter_context(Server(scratch / "server"))
        command = (
            "train",
            "--auto-resume",
            "--recipe",
            "quickstart",
            "--name",
            "soak",
            "--runs",
            str(scratch / "runs"),
            *settings,
            f"tracking.uri={server.url}",
        )
        disturbed = Disturbed(scratch, command, server, random.Random(f"{seed}/long"))
        fine = disturbed.until_it_ends(until)
        code = quiet.result()
    if code != 0:
        print("the undisturbed training failed")
        return False
    if not fine:
        return False
    expected = outcome(RunFolder.open(scratch / "quiet" / "quiet"), scratch / "quiet" / "mlflow.db")
    got = outcome(RunFolder.open(scratch / "runs" / "soak"), server.database)
    found = difference(expected, got)
    verdict = "equal to the undisturbed training" if found is None else f"NO: {found}"
    print(f"\nlong training: {disturbed.count} disturbances, {verdict} ({len(expected)} parts)", flush=True)
    return found is None


def _quiet(scratch: Path, settings: tuple[str, ...], name: str = "quiet") -> int:
    words = ("train", "--recipe", "quickstart", "--name", name, "--runs", str(scratch / name), *settings)
    return Sdar(scratch / f"{name}.log", *words, cache=scratch / "cache").wait()


def _steps_that_fit(scratch: Path, seconds: float) -> int:
    """So many that an undisturbed training takes about 40 % of the time, with another beside it."""
    if _quiet(scratch, (*SETTINGS, f"train.steps={PROBE}"), "probe") != 0:
        sys.exit(f"the probe failed: {(scratch / 'probe.log').read_text()[-2000:]}")
    began = time.monotonic()
    if _quiet(scratch, (*SETTINGS, f"train.steps={PROBE}", "evaluation.every=0", "train.keep_best=0"), "again") != 0:
        sys.exit(f"the probe failed: {(scratch / 'again.log').read_text()[-2000:]}")
    each = (time.monotonic() - began) / PROBE
    return max(PROBE, int(0.4 * seconds / (1.3 * each)) // 20 * 20)
