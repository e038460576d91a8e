"""What MLflow has of a run that a version without a spool began: told from the run's journal, not from the store.

Such a version sent each value as it came, so that what the journal holds is there, the steps included that a restart
has taken back since. A value that was lost then is not sent now either: one too few, rather than two of a kind.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

from sdar_cli.tracking.journal import Journal
from sdar_cli.tracking.known import Known
from sdar_cli.tracking.system import PREFIX, interval
from sdar_cli.tracking.wire import metric_name

EVALUATION = "eval/"
MODES = ("no_skills", "skills")


def earlier(journal: Path, started: float, now: Callable[[], float] = time.time) -> Known:
    """
    Args:
        journal: ``metrics.jsonl``; where there is none, the run had measured nothing.
        started: seconds since the epoch at which the run began.

    Raises:
        RunError: the journal cannot be read.
    """
    known = Known()
    for step, values in Journal(journal).attempts():
        names = {name for name, value in values.items() if math.isfinite(value)}
        known.add(step, map(metric_name, names))
        modes = [mode for mode in MODES if any(name.startswith(f"{EVALUATION}{mode}/") for name in names)]
        if any(not name.startswith(EVALUATION) for name in names):
            modes.append("train")
        known.once |= {f"traces/{mode}/{step}" for mode in modes}
    # The load of the machine is not in the journal; there are no more points of it than intervals have gone by.
    points = math.ceil(max(0.0, now() - started) / interval())
    if points:
        known.add(points - 1, [PREFIX])
    return known
