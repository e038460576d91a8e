"""What Agarwal et al. (2021, NeurIPS 34, "Deep RL at the edge of the statistical precipice") put beside the mean."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def iqm(values: Sequence[float]) -> float:
    """Interquartile mean: the mean without the lowest and the highest quarter, ⌊n/4⌋ values each.

    Of fewer than four values it is the mean. Raises ValueError for none, or for values that are not finite.
    """
    ordered = np.sort(_finite(values))
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean())


def probability_of_improvement(first: Sequence[float], second: Sequence[float]) -> float:
    """P(a value of ``first`` exceeds one of ``second``) over all pairs of one with the other, ties counting half.

    Mann and Whitney's U / (m·n) (1947, Ann. Math. Statist. 18:50). Raises ValueError where either is empty, or for
    values that are not finite.
    """
    a, b = _finite(first)[:, None], _finite(second)[None, :]
    return float((a > b).mean() + (a == b).mean() / 2)


def _finite(values: Sequence[float]) -> np.ndarray:
    array = np.asarray(values, dtype=float)
    if array.ndim != 1 or not array.size or not np.isfinite(array).all():
        raise ValueError("a summary over seeds needs one finite number a seed, and at least one")
    return array
