"""Worker processes that take runs one after another; this process alone writes the table.

A worker imports torch and TRL once. The bases are warmed up before anything is trained, each once.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path

from claims import worker
from claims.jobs import Job
from claims.table import Row, Table
from sdar_cli.errors import SdarError


def work(jobs: Sequence[Job], table: Table, *, count: int, runs: Path, recipe: str = worker.RECIPE) -> int:
    """Run the jobs that the table lacks, ``count`` at a time; how many failed or were stopped.

    Raises concurrent.futures.process.BrokenProcessPool where a worker dies; the table then holds what was done.
    """
    missing = [job for job in jobs if not table.holds(job.key)]
    if not missing:
        return 0
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    runs.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=context, initializer=worker.warm_imports) as pool:
        try:
            pool.submit(worker.make_store, runs).result()
            _warm_up(pool, missing, recipe)
            return _train(pool, missing, table, runs, recipe, began)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _warm_up(pool: ProcessPoolExecutor, jobs: Sequence[Job], recipe: str) -> None:
    """One base for each seed, so that no two runs make the same one."""
    seeds = list({job.seed: job for job in jobs}.values())
    futures = {pool.submit(worker.warm_up, job, recipe): job for job in seeds}
    for done, future in enumerate(as_completed(futures), 1):
        seed = f"seed {futures[future].seed} ({done} of {len(seeds)})"
        try:
            future.result()
            _say(f"base of {seed}")
        except SdarError as error:  # the runs of this seed will fail with the same sentence, and say so in their rows
            _say(f"no base of {seed}: {error}")


def _train(pool: ProcessPoolExecutor, jobs: Sequence[Job], table: Table, runs: Path, recipe: str, began: float) -> int:
    failed = 0
    futures: dict[Future[Row], Job] = {pool.submit(worker.run, job, runs, recipe): job for job in jobs}
    for done, future in enumerate(as_completed(futures), 1):
        try:
            row = future.result()
        except worker.Interrupted as error:
            failed += 1
            _say(f"{error}, and is left for the next time")
            continue
        table.add(row)
        failed += row.status == "failed"
        left = (time.monotonic() - began) / done * (len(jobs) - done)
        _say(f"{done} of {len(jobs)}, {left / 60:.0f} min left: {describe(row)}")
    return failed


def describe(row: Row) -> str:
    """A run in one line."""
    if row.status == "failed":
        return f"{row.label}, seed {row.seed}, failed: {row.note}"
    cells = " ".join(f"{value:.0%}" for value in (row.trained_no_skills, row.trained_skills) if value is not None)
    return f"{row.label}, seed {row.seed}: {cells} without and with skills, {row.seconds:.0f} s, {row.status}"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
