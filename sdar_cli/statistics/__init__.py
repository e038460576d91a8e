"""Intervals and tests for success rates: one share, pairs of tasks, seeds, families of comparisons.

All are two-sided. Proportions and differences are shares (0.25), not points.
"""

from sdar_cli.statistics.bootstrap import internalised_fraction, ratio_bootstrap
from sdar_cli.statistics.effect import cohens_dz, cohens_h
from sdar_cli.statistics.family import holm
from sdar_cli.statistics.interval import LEVEL, Interval, as_json, normal_quantile
from sdar_cli.statistics.paired import (
    PairCounts,
    episodes_for,
    episodes_needed,
    mcnemar,
    paired_difference,
    paired_difference_from_counts,
)
from sdar_cli.statistics.power import detectable, seeds_for, seeds_needed
from sdar_cli.statistics.proportion import wilson
from sdar_cli.statistics.robust import iqm, probability_of_improvement
from sdar_cli.statistics.seeds import Test, mean_over_seeds, paired_t, seed_difference
from sdar_cli.statistics.unpaired import fisher, share_difference, unpaired_difference, unpaired_t

__all__ = [
    "LEVEL",
    "Interval",
    "PairCounts",
    "Test",
    "as_json",
    "cohens_dz",
    "cohens_h",
    "detectable",
    "episodes_for",
    "episodes_needed",
    "fisher",
    "holm",
    "internalised_fraction",
    "iqm",
    "mcnemar",
    "mean_over_seeds",
    "normal_quantile",
    "paired_difference",
    "paired_difference_from_counts",
    "paired_t",
    "probability_of_improvement",
    "ratio_bootstrap",
    "seed_difference",
    "seeds_for",
    "seeds_needed",
    "share_difference",
    "unpaired_difference",
    "unpaired_t",
    "wilson",
]
