"""Means and differences over seeds: Student's t corrected and plain, unpaired t, the hierarchical bootstrap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.special import stdtr, stdtrit

from calibration import worlds
from calibration.table import Row, row
from calibration.worlds import Lattice
from sdar_cli.statistics.seeds import standard_error
from sdar_cli.statistics.unpaired import two_forms

CELL = "rate1 rate2 spread phi"
UNPAIRED = ((2, 2), (3, 3), (5, 5), (10, 10), (2, 3), (2, 5), (2, 10), (3, 10), (5, 10))
BOOTSTRAP_TASKS, BOOTSTRAP_SPREAD, BOOTSTRAP_RATE = 128, 0.1, 0.5


def covered(mean_R: np.ndarray, variance_R: np.ndarray, seeds: int, truth: float, grid: float | None) -> np.ndarray:
    """Whether the interval of 95 % holds the truth; in steps of 1/tasks, so that the grid is 1."""
    half = stdtrit(seeds - 1, 0.975) * standard_error(variance_R, seeds, grid)
    # The limits are part of the interval, and floating point must not decide.
    return np.abs(mean_R - truth) <= half * (1 + 1e-9) + 1e-9


PLAIN = 4
"""Up to how many seeds t without the correction is looked at too."""

Rates = tuple[int, float, float | None]
"""Seeds, coverage with the correction, coverage without."""


def rates(lattice: Lattice, seeds: Sequence[int], draws: int, key: tuple[int, ...]) -> Iterator[Rates]:
    """Exact for two seeds, and for any number where the lattice is narrow; else simulated."""
    for count, mean, variance, weight in _samples(lattice, seeds, draws, key):
        with_, plain = (
            float(weight @ covered(mean, variance, count, lattice.truth, grid)) if grid or count <= PLAIN else None
            for grid in (1.0, None)
        )
        yield count, with_, plain


def _samples(
    lattice: Lattice, seeds: Sequence[int], draws: int, key: tuple[int, ...]
) -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
    """For each number of seeds: means, variances and weights, each of shape (R,)."""
    if lattice.narrow:
        for count, total, squares, weight in lattice.sums(max(seeds)):
            if count in seeds:
                yield count, total / count, np.maximum(squares - total**2 / count, 0.0) / (count - 1), weight
        return
    if 2 in seeds:
        a, b = (side.ravel() for side in np.meshgrid(lattice.values, lattice.values))
        yield 2, (a + b) / 2, (a - b) ** 2 / 2, np.outer(lattice.probabilities, lattice.probabilities).ravel()
    drawn = lattice.draw(worlds.generator(*key), (draws, max(seeds)))
    for count in seeds:
        if count > 2:
            part = drawn[:, :count]
            yield count, part.mean(axis=1), part.var(axis=1, ddof=1), np.full(draws, 1 / draws)


def paired(tasks: Sequence[int], seeds: Sequence[int], draws: int) -> Iterator[Row]:
    """Differences paired by seed; five times the draws where there is none, since it is the worst that counts there."""
    for n in tasks:
        found: dict[tuple[int, str], dict[tuple[float, ...], float]] = {}
        for i, (rate1, rate2) in enumerate(worlds.pairs_of_rates()):
            for j, (spread, phi) in enumerate(worlds.product(worlds.SPREADS, worlds.PHIS)):
                lattice = worlds.difference(n, rate1, rate2, spread, spread, phi)
                studies = 5 * draws if rate1 == rate2 else draws
                for count, with_, plain in rates(lattice, seeds, studies, (1, n, i, j)):
                    found.setdefault((count, "t over paired seeds"), {})[rate1, rate2, spread, phi] = with_
                    if plain is not None:
                        found.setdefault((count, "t over paired seeds, plain"), {})[rate1, rate2, spread, phi] = plain
        for (count, name), cells in found.items():
            yield from _rows(name, count, n, "exact" if count == 2 else f"exact or {draws}", cells)


def _rows(name: str, count: int, n: int, how: str, cells: dict[tuple[float, ...], float]) -> Iterator[Row]:
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
                for count, with_, _ in rates(lattice, seeds, draws, (2, n, i)):
                    found.setdefault(count, {})[rate, spread, phi] = 1 - with_
        for count, cells in found.items():
            how = "exact" if count == 2 else f"exact or {draws}"
            yield row("t over paired seeds", "false positives", count, n, "one spread 0", how, cells, "rate spread phi")


def means(tasks: Sequence[int], seeds: Sequence[int], draws: int) -> Iterator[Row]:
    """Means of one method over seeds."""
    for n in tasks:
        found: dict[tuple[int, str], dict[tuple[float, ...], float]] = {}
        for i, (rate, spread, settled) in enumerate(worlds.product(worlds.RATES, worlds.SPREADS, worlds.SETTLED)):
            lattice = worlds.successes(n, rate, spread, settled)
            for count, with_, _ in rates(lattice, seeds, draws, (3, n, i)):
                world = "all others" if settled < max(worlds.SETTLED) else "settled 0.9"
                world = "seeds pile up at 0" if worlds.piled(rate, spread) else world
                found.setdefault((count, world), {})[rate, spread, settled] = with_
        for (count, world), cells in found.items():
            how = "exact" if count == 2 else f"exact or {draws}"
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
