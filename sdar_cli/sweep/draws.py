"""Settings of a space, all of them or drawn at random. Drawn values keep four significant digits."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice, product
from random import Random
from typing import Any

from sdar_cli.sweep.space import Axis

MAX_CELLS = 2000
"""Cells of a study, and settings of a space that are still written out."""
DIGITS = 4
"""Significant digits of a drawn value: enough to tell two apart, and readable in a table."""

Settle = Callable[[Mapping[str, Any]], dict[str, Any]]
"""Drops the params that nothing reads beside the others."""


def combinations(axes: Sequence[Axis]) -> int | None:
    """How many combinations of values there are; None where an axis is continuous."""
    counts = [axis.count for axis in axes]
    return None if None in counts else math.prod(counts)


def every(axes: Sequence[Axis], settle: Settle) -> list[dict[str, Any]]:
    """All settings that differ, the last axis changing fastest; for axes that are not continuous."""
    keys = [axis.key for axis in axes]
    found: dict[str, dict[str, Any]] = {}
    for values in product(*(axis.values or () for axis in axes)):
        settled = settle(dict(zip(keys, values, strict=True)))
        found.setdefault(identity(settled), settled)
    return list(found.values())


def corners(axes: Sequence[Axis], limit: int) -> Iterator[dict[str, Any]]:
    """Each choice and each end of a range beside the others' first; then combinations of them, up to a limit."""
    keys = [axis.key for axis in axes]
    for axis in axes:
        first = {other.key: other.corners[0] for other in axes}
        yield from ({**first, axis.key: value} for value in axis.corners)
    for values in islice(product(*(axis.corners for axis in axes)), limit):
        yield dict(zip(keys, values, strict=True))


def draws(axes: Sequence[Axis], seed: int) -> Iterator[dict[str, Any]]:
    """Random settings without end: the one at a position depends on nothing but the seed and the position."""
    position = 0
    while True:
        random = Random(f"{seed}-{position}")
        yield {axis.key: draw(axis, random.random()) for axis in axes}
        position += 1


def draw(axis: Axis, share: float) -> Any:
    """The value below which that share (0 ≤ share < 1) of the axis lies."""
    if (count := axis.count) is not None and not axis.log:
        return axis.at(min(int(share * count), count - 1))
    if axis.log:
        low, high = (axis.low - 0.5, axis.high + 0.5) if axis.integer else (axis.low, axis.high)
        value = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
    else:
        value = axis.low + share * (axis.high - axis.low)
    return axis.number(value if axis.integer else rounded(value, axis))


def rounded(value: float, axis: Axis) -> float:
    """Four significant digits, or as many as a narrow range needs."""
    for digits in range(DIGITS, 17):
        short = float(f"{value:.{digits}g}")
        if abs(short - value) <= (axis.high - axis.low) * 10**-DIGITS:
            return short
    return value


def distinct(axes: Sequence[Axis], seed: int, count: int, settle: Settle) -> list[dict[str, Any]]:
    """The first so many random settings that differ; fewer where the space holds no more."""
    size = combinations(axes)
    if size is not None and size <= MAX_CELLS:
        found = every(axes, settle)
        Random(f"{seed}").shuffle(found)
        return found[:count]
    drawn: dict[str, dict[str, Any]] = {}
    for params in islice(draws(axes, seed), 20 * count):
        settled = settle(params)
        drawn.setdefault(identity(settled), settled)
        if len(drawn) == count:
            break
    return list(drawn.values())


def identity(params: Mapping[str, Any]) -> str:
    """Equal for equal settings: 1 is 1.0, and not true."""
    return json.dumps(
        {key: float(v) if isinstance(v, int) and not isinstance(v, bool) else v for key, v in params.items()},
        sort_keys=True,
    )
