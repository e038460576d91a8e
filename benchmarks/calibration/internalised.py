"""The internalised fraction, where it is defined, by simulation: of one run by the bootstrap, of several by Fieller."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.stats import norm

from calibration import worlds
from calibration.table import Row, row
from sdar_cli.compare.fraction import ratio_over_seeds
from sdar_cli.statistics import internalised_fraction

FRACTIONS = (0.1, 0.5, 0.9)
BASES = ((0.1, 0.9), (0.2, 0.6))
"""Success of the base without and with skills."""
LATENT = 0.5
"""Correlation of a task's outcomes over the three evaluations, of normal variables behind them."""
SPREADS = (0.0, 0.05)
NAMES = "without with fraction"


def of_one_run(tasks: Sequence[int], draws: int) -> Iterator[Row]:
    for n in tasks:
        cells = {}
        for i, (without, with_, fraction) in enumerate(_cells()):
            source = worlds.generator(7, n, i)
            rates = np.array([without + fraction * (with_ - without), without, with_])
            hits = []
            for _ in range(draws):
                task = source.standard_normal((1, n))
                latent = np.sqrt(LATENT) * task + np.sqrt(1 - LATENT) * source.standard_normal((3, n))
                interval = internalised_fraction(*(latent < norm.ppf(rates)[:, None]), resamples=1000)
                if interval is not None:
                    hits.append(fraction in interval)
            cells[without, with_, fraction] = sum(hits) / len(hits)
        yield row("internalised fraction", "coverage", 1, n, "where defined", draws, cells, NAMES)


def over_seeds(tasks: Sequence[int], seeds: Sequence[int], draws: int) -> Iterator[Row]:
    """The three rates vary over seeds, each on its own."""
    for n in tasks:
        for count in seeds:
            cells = {}
            for i, (without, with_, fraction) in enumerate(_cells()):
                for spread in SPREADS:
                    source = worlds.generator(9, n, count, i, round(100 * spread))
                    trained, base, skilled = (
                        worlds.successes(n, rate, spread, 0.0).draw(source, (draws, count)) / n
                        for rate in (without + fraction * (with_ - without), without, with_)
                    )
                    found = [
                        ratio_over_seeds(list(gained), list(offered), grid=1 / n)
                        for gained, offered in zip(trained - base, skilled - base, strict=True)
                    ]
                    hits = [fraction in interval for interval in found if interval is not None]
                    cells[without, with_, fraction, spread] = sum(hits) / len(hits)
            name = "internalised fraction, seeds"
            yield row(name, "coverage", count, n, "where defined", draws, cells, f"{NAMES} spread")


def _cells() -> list[tuple[float, float, float]]:
    return [(*base, fraction) for base in BASES for fraction in FRACTIONS]
