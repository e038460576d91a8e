"""Means over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sdar_cli.statistics.interval import LEVEL, Interval


def seed_difference(differences: Sequence[float], level: float = LEVEL) -> Interval:
    """Mean of differences paired by seed, with Student's t interval; ValueError for fewer than two."""
    if len(differences) < 2:
        raise ValueError("an interval over seeds needs at least two seeds")
    from scipy.special import stdtrit

    values = np.asarray(differences, dtype=float)
    half = stdtrit(len(values) - 1, (1 + level) / 2) * values.std(ddof=1) / math.sqrt(len(values))
    mean = float(values.mean())
    return Interval(mean, mean - float(half), mean + float(half), level)
