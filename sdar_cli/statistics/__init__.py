"""Intervals and tests for success rates: one share, pairs of tasks, seeds, families of comparisons.

All are two-sided. Proportions and differences are shares (0.25), not points.
"""

from sdar_cli.statistics.bootstrap import internalised_fraction, ratio_bootstrap
from sdar_cli.statistics.interval import LEVEL, Interval, as_json, normal_quantile
from sdar_cli.statistics.paired import (
    PairCounts,
    episodes_needed,
    mcnemar,
    paired_difference,
    paired_difference_from_counts,
)
from sdar_cli.statistics.proportion import wilson
from sdar_cli.statistics.seeds import seed_difference

__all__ = [
    "LEVEL",
    "Interval",
    "PairCounts",
    "as_json",
    "episodes_needed",
    "internalised_fraction",
    "mcnemar",
    "normal_quantile",
    "paired_difference",
    "paired_difference_from_counts",
    "ratio_bootstrap",
    "seed_difference",
    "wilson",
]
