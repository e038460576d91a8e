"""One share: k of n."""

from __future__ import annotations

import math

from sdar_cli.statistics.interval import LEVEL, Interval, normal_quantile


def wilson(k: int, n: int, level: float = LEVEL) -> Interval:
    """Score interval of a proportion, k successes in n trials (Wilson 1927, JASA 22:209).

    Raises ValueError unless 0 ≤ k ≤ n and n ≥ 1.
    """
    if not 0 <= k <= n or n < 1:
        raise ValueError(f"no proportion: {k} successes in {n} trials")
    z = normal_quantile(level)
    p, q = k / n, (n - k) / n
    centre = p + z * z / (2 * n)
    spread = z * math.sqrt(p * q / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    low = 0.0 if k == 0 else (centre - spread) / scale
    high = 1.0 if k == n else (centre + spread) / scale
    return Interval(p, low, high, level)
