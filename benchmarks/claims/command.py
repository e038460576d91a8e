"""The command line of ``benchmarks/claims.py``."""

from __future__ import annotations

import argparse
import sys
import tempfile
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from claims import studies
from claims.table import Table

RESULTS = Path(__file__).resolve().parents[1] / "results" / "claims-runs.csv"
SECONDS = 27.0
"""Of one core for a run of 40 steps, for estimates."""


def main(about: str | None, arguments: list[str] | None = None) -> int:
    """Exit code: 0; 1 where runs failed; 2 where the report needs runs that are missing; 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", nargs="+", choices=studies.STUDIES, default=list(studies.STUDIES))
    parser.add_argument("--labels", nargs="+", help="only runs with these labels: a part of a study")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, each on one core")
    parser.add_argument("--runs", type=Path, help="folder of the runs and their MLflow store; default: a temporary one")
    parser.add_argument("--csv", type=Path, default=RESULTS)
    parser.add_argument("--retry", action="store_true", help="run again what failed")
    parser.add_argument("--plan", action="store_true", help="print what is missing, and stop")
    parser.add_argument("--report", action="store_true", help="print the report, and run nothing")
    parser.add_argument("--into", type=Path, metavar="PAGE", help="write the report between the marks of a page")
    options = parser.parse_args(arguments)
    table = Table.open(options.csv)
    try:
        if options.plan:
            return _plan(options, table)
        failed = 0 if options.report else _run(options, table)
        _report(options, table)
    except studies.NotTuned as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"stopped: {len(table)} runs are in {options.csv}, and the same command goes on", file=sys.stderr)
        return 130
    except BrokenProcessPool:
        print(
            f"error: a worker died: free some memory and run the same command, it goes on from {options.csv}",
            file=sys.stderr,
        )
        return 1
    return int(failed > 0)


def _jobs(options: argparse.Namespace, study: str, table: Table) -> list[studies.Job]:
    jobs = studies.jobs_of(study, table)
    return [job for job in jobs if options.labels is None or job.label in options.labels]


def _run(options: argparse.Namespace, table: Table) -> int:
    from claims import crew

    if options.retry:
        table.drop_failed()
    failed = 0
    with tempfile.TemporaryDirectory(prefix="claims-") as scratch:
        for study in studies.STUDIES:
            if study in options.studies:
                jobs = _jobs(options, study, table)
                failed += crew.work(jobs, table, count=options.jobs, runs=options.runs or Path(scratch))
    return failed


def _report(options: argparse.Namespace, table: Table) -> None:
    from claims.report import report

    if options.into is not None:
        from claims.document import embed

        embed(options.into, report(table))
        return
    if options.report or (options.labels is None and set(options.studies) == set(studies.STUDIES)):
        print(report(table), end="")


def _plan(options: argparse.Namespace, table: Table) -> int:
    """What is missing, by study; a study that waits for ``tune`` is named as such."""
    total = 0.0
    for study in options.studies:
        try:
            jobs = _jobs(options, study, table)
        except studies.NotTuned as error:
            print(f"{study:<9} unknown yet: {error}")
            continue
        missing = [job for job in jobs if not table.holds(job.key)]
        steps = sum(studies.LONG_STEPS if studies.LONG[0] in job.overrides else 40 for job in missing)
        total += steps / 40 * SECONDS
        print(f"{study:<9} {len(missing):>4} of {len(jobs)} runs missing")
    print(
        f"about {total / options.jobs / 60:.0f} minutes with --jobs {options.jobs}, beside about a minute for each "
        "seed's warm-up that is not in the cache"
    )
    return 0
