"""Holm's correction over a family: the probability of one wrong rejection or more, where all are equal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.special import stdtr
from scipy.stats import binom

from calibration import worlds
from calibration.table import Row, row
from sdar_cli.statistics.seeds import mean_and_error

SIZES = (3, 10)
"""Methods that are compared with one baseline."""
RATES = (0.2, 0.5)
TASKS = 128


def families(seeds: Sequence[int], draws: int) -> Iterator[Row]:
    """All methods are equal, so that Holm's first step decides: the least p-value against 5 % / family."""
    tests, over_seeds = {}, {count: {} for count in seeds}
    for i, rate in enumerate(RATES):
        for size in SIZES:
            source = worlds.generator(8, i, size)
            few = draws // 10
            base = source.random((few, TASKS)) < rate
            least = np.ones(few)
            for _ in range(size):
                other = source.random((few, TASKS)) < rate
                least = np.minimum(least, _mcnemar((base & ~other).sum(axis=1), (~base & other).sum(axis=1)))
            tests[rate, size] = float((least < 0.05 / size).mean())
            for count in seeds:
                lattice = worlds.successes(TASKS, rate, 0.05, 0.0)
                first = lattice.draw(source, (draws, count))
                least = np.ones(draws)
                for _ in range(size):
                    mean, error = mean_and_error(lattice.draw(source, (draws, count)) - first, 1.0)
                    least = np.minimum(least, 2 * stdtr(count - 1, -np.abs(mean) / error))
                over_seeds[count][rate, size] = float((least < 0.05 / size).mean())
    yield row("Holm over McNemar", "false positives", 1, TASKS, "family", draws // 10, tests, "rate family")
    for count, cells in over_seeds.items():
        yield row("Holm over paired t", "false positives", count, TASKS, "family", draws, cells, "rate family")


def _mcnemar(b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Exact p-value, for arrays of discordant counts."""
    return np.minimum(1.0, 2 * binom.cdf(np.minimum(b, c), b + c, 0.5))
