"""Means and differences over seeds: Student's t with and without the floor, unpaired t, the hierarchical bootstrap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.special import stdtr, stdtrit

from calibration import worlds
from calibration.table import Row, row
from calibration.worlds import Lattice
from sdar_cli.statistics.seeds import mean_and_error
from sdar_cli.statistics.unpaired import two_forms

CELL = "rate1 rate2 spread phi"
UNPAIRED = ((2, 2), (3, 3), (5, 5), (10, 10), (2, 3), (2, 5), (2, 10), (3, 10), (5, 10))
BOOTSTRAP_TASKS, BOOTSTRAP_SPREAD, BOOTSTRAP_RATE = 128, 0.1, 0.5


def covered(values_RS: np.ndarray, truth: float, grid: float | None) -> np.ndarray:
    """Whether each row's interval of 95 % holds the truth; values in steps of 1/tasks, so that the grid is 1."""
    mean, error = mean_and_error(values_RS, grid)
    # The limits are part of the interval, and floating point must not decide.
    return np.abs(mean - truth) <= stdtrit(values_RS.shape[-1] - 1, 0.975) * error * (1 + 1e-9) + 1e-9


NO_FLOOR = 4
"""Up to how many seeds the interval without the floor is looked at too; more seldom all agree."""

Rates = tuple[int, float, float | None]
"""Seeds, coverage with the floor, coverage without."""


def rates(lattice: Lattice, seeds: Sequence[int], draws: int, key: tuple[int, ...]) -> Iterator[Rates]:
    """Two seeds exactly, more by simulation."""
    if 2 in seeds:
        a, b = np.meshgrid(lattice.values, lattice.values, indexing="ij")
        both = np.stack([a.ravel(), b.ravel()], axis=-1)
        weight = np.outer(lattice.probabilities, lattice.probabilities).ravel()
        yield 2, *(float(weight @ covered(both, lattice.truth, grid)) for grid in (1.0, None))
    drawn = lattice.draw(worlds.generator(*key), (draws, max(seeds)))
    for count in seeds:
        if count > 2:
            without = float(covered(drawn[:, :count], lattice.truth, None).mean()) if count <= NO_FLOOR else None
            yield count, float(covered(drawn[:, :count], lattice.truth, 1.0).mean()), without


def paired(tasks: Sequence[int], seeds: Sequence[int], draws: int) -> Iterator[Row]:
    """Differences paired by seed."""
    for n in tasks:
        found: dict[tuple[int, bool], dict[tuple[float, ...], float]] = {}
        for i, (rate1, rate2) in enumerate(worlds.pairs_of_rates()):
            for j, (spread, phi) in enumerate(worlds.product(worlds.SPREADS, worlds.PHIS)):
                lattice = worlds.difference(n, rate1, rate2, spread, spread, phi)
                for count, with_floor, without in rates(lattice, seeds, draws, (1, n, i, j)):
                    found.setdefault((count, True), {})[rate1, rate2, spread, phi] = with_floor
                    if without is not None:
                        found.setdefault((count, False), {})[rate1, rate2, spread, phi] = without
        for (count, floor), cells in found.items():
            name = "t over paired seeds" if floor else "t over paired seeds, no floor"
            how = "exact" if count == 2 else draws
            yield from _rows(name, count, n, how, cells)


def _rows(name: str, count: int, n: int, how: int | str, cells: dict[tuple[float, ...], float]) -> Iterator[Row]:
    free = {cell: rate for cell, rate in cells.items() if not any(worlds.piled(rate, cell[2]) for rate in cell[:2])}
    piled = {cell: rate for cell, rate in cells.items() if cell not in free}
    null = {cell: 1 - rate for cell, rate in cells.items() if cell[0] == cell[1]}
    loose = {cell: rate for cell, rate in free.items() if cell[3] < max(worlds.PHIS)}
    tight = {cell: rate for cell, rate in free.items() if cell[3] == max(worlds.PHIS)}
    yield row(name, "coverage", count, n, "phi up to 0.5", how, loose, CELL)
    yield row(name, "coverage", count, n, "phi 0.9", how, tight, CELL)
    yield row(name, "coverage", count, n, "seeds pile up at 0", how, piled, CELL)
    yield row(name, "false positives", count, n, "all", how, null, CELL)


def unequal(tasks: Sequence[int], seeds: Sequence[int], draws: int) -> Iterator[Row]:
    """Paired seeds of equal methods, one of which varies over seeds and the other does not."""
    for n in tasks:
        found: dict[int, dict[tuple[float, ...], float]] = {}
        for i, (rate, spread, phi) in enumerate(worlds.product(worlds.RATES, worlds.SPREADS[1:], worlds.PHIS)):
            if not worlds.piled(rate, spread):
                lattice = worlds.difference(n, rate, rate, 0.0, spread, phi)
                for count, with_floor, _ in rates(lattice, seeds, draws, (2, n, i)):
                    found.setdefault(count, {})[rate, spread, phi] = 1 - with_floor
        for count, cells in found.items():
            how = "exact" if count == 2 else draws
            yield row("t over paired seeds", "false positives", count, n, "one spread 0", how, cells, "rate spread phi")


def means(tasks: Sequence[int], seeds: Sequence[int], draws: int) -> Iterator[Row]:
    """Means of one method over seeds."""
    for n in tasks:
        found: dict[tuple[int, str], dict[tuple[float, ...], float]] = {}
        for i, (rate, spread, settled) in enumerate(worlds.product(worlds.RATES, worlds.SPREADS, worlds.SETTLED)):
            lattice = worlds.successes(n, rate, spread, settled)
            for count, with_floor, _ in rates(lattice, seeds, draws, (3, n, i)):
                world = "all others" if settled < max(worlds.SETTLED) else "settled 0.9"
                world = "seeds pile up at 0" if worlds.piled(rate, spread) else world
                found.setdefault((count, world), {})[rate, spread, settled] = with_floor
        for (count, world), cells in found.items():
            how = "exact" if count == 2 else draws
            yield row("t mean over seeds", "coverage", count, n, world, how, cells, "rate spread settled")


def unpaired(tasks: Sequence[int], draws: int, groups: Sequence[tuple[int, int]] = UNPAIRED) -> Iterator[Row]:
    """Equal methods of different seeds."""
    for n in tasks:
        for size1, size2 in groups:
            same, other = {}, {}
            for i, (rate, spread1, spread2) in enumerate(worlds.product(worlds.RATES, worlds.SPREADS, worlds.SPREADS)):
                if worlds.piled(rate, spread1) or worlds.piled(rate, spread2):
                    continue
                source = worlds.generator(4, n, size1, size2, i)
                first, second = (
                    worlds.successes(n, rate, spread, 0.0).draw(source, (draws, size))
                    for spread, size in ((spread1, size1), (spread2, size2))
                )
                into = same if spread1 == spread2 else other
                into[rate, spread1, spread2] = float((unpaired_p(first, second) < 0.05).mean())
            for world, cells in (("equal spreads", same), ("unequal spreads", other)):
                names = "rate spread1 spread2"
                sizes = f"{size1}+{size2}"
                yield row("t over unpaired seeds", "false positives", sizes, n, world, draws, cells, names)


def unpaired_p(first_RS: np.ndarray, second_RT: np.ndarray) -> np.ndarray:
    """p-value of ``unpaired_t`` of each row, in steps of 1/tasks."""
    difference, forms = two_forms(first_RS, second_RT, 1.0)
    return np.maximum(*(2 * stdtr(df, -np.abs(difference) / error) for error, df in forms))


def hierarchical(seeds: Sequence[int], draws: int, resamples: int = 400) -> Iterator[Row]:
    """Percentile bootstrap of the difference: seeds are drawn, then tasks within each; why it is not used."""
    n, rate, spread = BOOTSTRAP_TASKS, BOOTSTRAP_RATE, BOOTSTRAP_SPREAD
    for count in seeds:
        source = worlds.generator(5, count)
        size = rate * (1 - rate) / spread**2 - 1
        p_2RS = source.beta(rate * size, (1 - rate) * size, (2, draws, count))
        k_2RS = source.binomial(n, p_2RS) / n
        hits = 0
        for k1_S, k2_S in zip(*k_2RS, strict=True):
            chosen_BS = source.integers(count, size=(resamples, count))
            means_B = [(source.binomial(n, k_S[chosen_BS]) / n).mean(axis=-1) for k_S in (k1_S, k2_S)]
            low, high = np.quantile(means_B[0] - means_B[1], [0.025, 0.975])
            hits += low <= 0 <= high
        cells = {(rate, spread): hits / draws}
        yield row("hierarchical bootstrap", "coverage", count, n, "phi 0", draws, cells, "rate spread")
