"""One long training that is disturbed on and on, beside one of the same seed that is left alone."""

from __future__ import annotations

import random
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
    "rollout.tasks=4",
    "rollout.group=4",
    "environment.name=" + str(Path(__file__).with_name("household_apart.py")) + ":HouseholdApart",
    "environment.timeout=15",
    "evaluation.tasks=48",
    "evaluation.transcripts=4",
    "teacher.kind=ema",
    "skills.retrieval=ucb",
    "warmup.required_success=0",
    "tracking.trace_every=10",
    "tracking.traces=4",
    "tracking.system_metrics=false",
)
BETWEEN = ("evaluation.every=100", "train.keep_best=1")
PROBE = 40
"""Steps of the training that tells how many fit into the time."""
FEWEST = 220
"""Steps with which two evaluations on the way fall on checkpoints, among which the best is kept."""
SHARE = 0.8
"""Of the time, in which the training is disturbed; the rest is for its end."""


def long(scratch: Path, minutes: float, seed: int) -> tuple[bool, str]:
    """Run both at once and print each disturbance with what it cost; whether the two ended alike, and that in words."""
    scratch.mkdir(parents=True)
    until = time.monotonic() + SHARE * minutes * 60
    each = _probe(scratch)
    if isinstance(each, str):
        return False, f"NO: the probe failed: {each}"
    steps = _steps_that_fit(until - time.monotonic(), each)
    settings = (*SETTINGS, *BETWEEN, f"train.steps={steps}")
    print(f"\nlong training: {steps} steps of {each:.2f} s, left alone, in {minutes:.0f} minutes\n", flush=True)
    with ExitStack() as stack, ThreadPoolExecutor(1) as pool:
        server = stack.enter_context(Server(scratch / "server"))
        quiet = pool.submit(_quiet, scratch, settings, "quiet")
        words = ("train", "--auto-resume", "--recipe", "quickstart", "--name", "soak", "--runs", str(scratch / "runs"))
        command = (*words, *settings, f"tracking.uri={server.url}")
        disturbed = Disturbed(scratch, command, server, random.Random(f"{seed}/long"))
        fine = disturbed.until_it_ends(until)
        alone = quiet.result()
    if (code := alone.wait()) != 0:
        return False, f"NO: the undisturbed training ended with exit code {code}: {alone.said()[-400:]}"
    expected = outcome(RunFolder.open(scratch / "quiet" / "quiet"), scratch / "quiet" / "mlflow.db")
    what = f"long training: {steps} steps, {disturbed.count} disturbances ({disturbed.kinds()})"
    if not disturbed.ended or not disturbed.count:
        return False, f"{what}, NO: {'nothing disturbed it' if disturbed.ended else 'it did not end'}"
    got = outcome(RunFolder.open(scratch / "runs" / "soak"), server.database)
    for one in (expected, got):
        one["checkpoints"] = one["checkpoints"][-1:]  # what a signal saved is among the newest, too
    found = difference(expected, got)
    said = "equal to the undisturbed one" if found is None else f"NO: {found}"
    wrong = "" if fine else "; NO: not every process left as it should, see the lines above"
    return fine and found is None, f"{what}, {said} in {len(expected)} parts{wrong}"


def _quiet(scratch: Path, settings: tuple[str, ...], name: str) -> Sdar:
    """One that is over."""
    words = ("train", "--recipe", "quickstart", "--name", name, "--runs", str(scratch / name), *settings)
    process = Sdar(scratch / f"{name}.log", *words, cache=scratch / "cache")
    process.wait()
    return process


def _probe(scratch: Path) -> float | str:
    """Seconds of a step, or what a training of a few said instead; the first fills the cache with the warm-up."""
    for name in ("warm", "probe"):
        began = time.monotonic()
        process = _quiet(scratch, (*SETTINGS, f"train.steps={PROBE}"), name)
        if process.wait() != 0:
            return process.said()[-2000:]
    return (time.monotonic() - began) / PROBE


def _steps_that_fit(seconds: float, each: float) -> int:
    """So many that an undisturbed training takes half of the time, with another beside it."""
    return max(FEWEST, int(0.5 * seconds / (1.3 * each)) // 20 * 20)
