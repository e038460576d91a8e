"""Graded scores: Student's t over the tasks of one run, by simulation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.special import stdtrit

from calibration import worlds
from calibration.table import Row, row
from sdar_cli.statistics.seeds import mean_and_error

SCORES = ((0.5, 0.1), (0.1, 0.5), (0.3, 0.3), (0.7, 0.05), (0.05, 0.7))
"""Shares of tasks that score nothing and everything; the others score Beta(2, 2)."""
TOGETHER = (0.0, 0.5)
"""Share of tasks on which two runs score the same."""


def scores(tasks: Sequence[int], draws: int) -> Iterator[Row]:
    """``mean_score`` and ``score_difference``: Student's t over tasks."""
    for n in tasks:
        alone, pair, null = {}, {}, {}
        for i, (nothing, everything) in enumerate(SCORES):
            truth = everything + (1 - nothing - everything) / 2
            first = _scores(worlds.generator(6, n, i, 0), (draws, n), nothing, everything)
            alone[nothing, everything] = _covered(first, truth)
            for j, together in enumerate(TOGETHER):
                source = worlds.generator(6, n, i, 1 + j)
                same = source.random((draws, n)) < together
                second = np.where(same, first, _scores(source, (draws, n), nothing, everything))
                null[nothing, everything, together] = 1 - _covered(first - second, 0.0)
                # The same tasks, of a run that scores nothing on some more.
                lost = np.where(source.random((draws, n)) < 0.3, 0.0, second)
                pair[nothing, everything, together] = _covered(first - lost, 0.3 * truth)
        yield row("t mean score", "coverage", 1, n, "all", draws, alone, "nothing everything")
        names = "nothing everything together"
        yield row("t score difference", "coverage", 1, n, "all", draws, pair, names)
        yield row("t score difference", "false positives", 1, n, "all", draws, null, names)


def _scores(source: np.random.Generator, shape: tuple[int, int], nothing: float, everything: float) -> np.ndarray:
    u = source.random(shape)
    return np.where(u < nothing, 0.0, np.where(u < nothing + everything, 1.0, source.beta(2, 2, shape)))


def _covered(values_RN: np.ndarray, truth: float) -> float:
    mean, error = mean_and_error(values_RN)
    return float((np.abs(mean - truth) <= stdtrit(values_RN.shape[-1] - 1, 0.975) * error).mean())
