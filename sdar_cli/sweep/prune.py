"""A cell's intermediate values: what its seeds in order have come to, on one axis of training steps.

At (steps of the seeds before) + s stands the mean of the final values of the seeds before and of this seed's value
at its step s. A seed counts only once all before it are done, so that every cell is judged on the same seeds at
the same place, and the value at a place never changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sdar_cli.sweep.results import Triple
from sdar_cli.sweep.view import RunView


def intermediate(
    runs: Sequence[RunView], playing: Mapping[int, Sequence[Triple]], metric: str = "success"
) -> dict[int, float]:
    """
    Args:
        runs: of a cell, in the order of the seeds.
        playing: seed → evaluations so far, of runs that are not done.
        metric: ``success`` or ``score``.

    Returns:
        Step → value.
    """
    values: dict[int, float] = {}
    before: list[float] = []
    offset = 0
    for run in runs:
        over = run.state == "done"
        curve = run.result.get("evaluations", ()) if over else playing.get(run.seed, ())
        for step, success, score in curve:
            value = success if metric == "success" else score
            if value is not None:
                values[offset + step] = (sum(before) + value) / (len(before) + 1)
        if not over:
            break
        before.append(float(run.result[metric]))
        offset += int(run.result["steps"])
        values[offset] = sum(before) / len(before)
    return values
