"""Made-up runs of ``benchmarks/claims.py``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

from claims import studies  # noqa: E402
from claims.methods import Overrides  # noqa: E402
from claims.table import Row, Table  # noqa: E402


def row(overrides: Overrides = (), seed: int = 0, **changes) -> Row:
    known = {"study": "tune", "label": "x", "method": "grpo", "overrides": " ".join(overrides), "seed": seed}
    ends = {"status": "finished", "steps": 40, "tasks": 288, "base_no_skills": 0.08, "base_skills": 1.0}
    cells = {"trained_no_skills": 0.5, "trained_skills": 1.0, "seconds": 30.0, "cpu_seconds": 25.0, "commit": "abc"}
    return Row(**known | ends | cells | changes)


def filled(solved: Callable[[str, int], float], **changes) -> Table:
    """Every run of every study, its success without skills given by label and seed."""
    table = Table()
    for study in studies.STUDIES:
        for job in studies.jobs_of(study, table):
            if not table.holds(job.key):
                steps = studies.LONG_STEPS if studies.LONG[0] in job.overrides else 40
                cell = {"trained_no_skills": solved(job.label, job.seed), "steps": steps}
                table.add(row(job.overrides, job.seed, label=job.label, study=study, **cell | changes))
    return table


def noise(seed: int) -> float:
    """The same for all runs of a seed, so that paired differences are free of it."""
    return 0.02 * (seed % 5)
