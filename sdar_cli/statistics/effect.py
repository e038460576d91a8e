"""Sizes of a difference (Cohen 1988, Statistical power analysis for the behavioral sciences)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sdar_cli.statistics.seeds import standard_deviation


def cohens_h(p1: float, p2: float) -> float:
    """Difference of two shares, 2·arcsin √p₁ − 2·arcsin √p₂ in radians (eq. 6.2.1); ValueError outside [0, 1]."""
    for p in (p1, p2):
        if not 0 <= p <= 1:
            raise ValueError(f"a share lies between 0 and 1, not at {p}")
    return 2 * (math.asin(math.sqrt(p1)) - math.asin(math.sqrt(p2)))


def cohens_dz(differences: Sequence[float]) -> float | None:
    """Mean of paired differences over their standard deviation (eq. 2.3.5), no unit.

    None for fewer than two, or where they all agree. Raises ValueError for values that are not finite.
    """
    if len(differences) < 2:
        return None
    s = standard_deviation(differences)
    return float(np.mean(differences)) / s if s > 0 else None
