"""The worlds in which statistics are put to the test.

The panel is fixed, seeds vary. Run j of a method succeeds at rate p_j on the panel: Beta with mean p and standard
deviation ``spread`` over seeds (0: the same rate always). Its outcomes are Bernoulli draws at that rate, one a task.
Two runs of a pair answer the same tasks, and their outcomes are correlated within a task by φ (as near to it as the
rates allow); a high φ also stands for panels of tasks that are always or never solved, which leave as few pairs that
differ.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import roots_jacobi
from scipy.stats import binom

TASKS = (32, 64, 128, 256, 500)
SEEDS = tuple(range(2, 11))
RATES = (0.05, 0.1, 0.2, 0.35, 0.5)
"""Rates above ½ mirror those below."""
SPREADS = (0.0, 0.02, 0.05, 0.1)
PHIS = (0.0, 0.5, 0.9)
SETTLED = (0.0, 0.5, 0.9)
"""Share of a panel's tasks whose outcome never varies."""
NARROW = 10
"""Steps from 0 up to which distributions are enumerated for any number of seeds."""
GAPS = (0.1, 0.3)
"""True differences between two methods, for coverage where there is one."""


@dataclass(frozen=True, slots=True)
class Lattice:
    """The distribution of one seed's figure, in steps of 1/tasks."""

    values: np.ndarray
    probabilities: np.ndarray
    truth: float
    """Its mean."""

    @classmethod
    def of(cls, values: np.ndarray, probabilities: np.ndarray, truth: float) -> Lattice:
        probabilities = np.clip(probabilities, 0.0, None)
        seen = probabilities > 1e-9
        return cls(values[seen].astype(float), probabilities[seen] / probabilities[seen].sum(), truth)

    @property
    def narrow(self) -> bool:
        """Whether sums over seeds can be enumerated."""
        return float(np.abs(self.values).max()) <= NARROW

    def sums(self, most: int) -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
        """For 1 … ``most`` seeds: their sums, sums of squares and joint probabilities, each of shape (K,)."""
        far = int(np.abs(self.values).max())
        centre = far * most
        joint = np.zeros((2 * centre + 1, far * far * most + 1))
        joint[centre, 0] = 1.0
        for seeds in range(1, most + 1):
            before, joint = joint, np.zeros_like(joint)
            for value, probability in zip(self.values.astype(int), self.probabilities, strict=True):
                square = value * value
                joint[:, square:] += probability * np.roll(before, value, axis=0)[:, : joint.shape[1] - square]
            at = np.nonzero(joint > 1e-15)
            yield seeds, at[0] - float(centre), at[1].astype(float), joint[at]

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        cumulative = np.cumsum(self.probabilities)
        found = np.searchsorted(cumulative, generator.random(shape), side="right")
        return self.values[np.minimum(found, len(self.values) - 1)]


def piled(rate: float, spread: float) -> bool:
    """Whether seeds pile up at 0 or 1: the Beta's density is unbounded there."""
    return spread > 0 and min(rate, 1 - rate) * (rate * (1 - rate) / spread**2 - 1) < 1


@lru_cache
def nodes(rate: float, spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Rates of runs and their weights: Gauss and Jacobi's quadrature of the Beta distribution."""
    if spread == 0:
        return np.array([rate]), np.array([1.0])
    size = rate * (1 - rate) / spread**2 - 1
    # As many as make neighbours overlap in their binomial noise.
    x, weights = roots_jacobi(24 if spread < 0.05 else 48, (1 - rate) * size - 1, rate * size - 1)
    return (x + 1) / 2, weights / weights.sum()


@lru_cache(maxsize=2048)
def difference(tasks: int, rate1: float, rate2: float, spread1: float, spread2: float, phi: float) -> Lattice:
    """A seed's difference of two runs, exactly but for the quadrature: the sum over tasks of −1, 0 or 1."""
    (x1, w1), (x2, w2) = nodes(rate1, spread1), nodes(rate2, spread2)
    a, b = (side.ravel() for side in np.meshgrid(x1, x2, indexing="ij"))
    both = both_succeed(a, b, phi)
    only1, only2 = a - both, b - both
    length = 2 * tasks + 2
    z = np.exp(-2j * np.pi * np.arange(tasks + 2) / length)
    # The generating function of a task's difference, to the power of the tasks; the upper half mirrors the lower.
    power = np.zeros(tasks + 2, complex)
    weights = np.outer(w1, w2).ravel()
    for start in range(0, len(a), 256):
        part = slice(start, start + 256)
        single = only1[part, None] * z + only2[part, None] * np.conj(z) + (1 - only1 - only2)[part, None]
        power += weights[part] @ single**tasks
    density = np.fft.irfft(power, length)
    values = np.arange(-tasks, tasks + 1)
    return Lattice.of(values, density[values % length], (rate1 - rate2) * tasks)


@lru_cache(maxsize=2048)
def successes(tasks: int, rate: float, spread: float, settled: float) -> Lattice:
    """A seed's number of successes; the outcome of a share of tasks is settled, at the same rate of success."""
    fixed = round(tasks * settled)
    solved, free = round(fixed * rate), tasks - fixed
    x, weights = nodes(rate, spread)
    density = weights @ binom.pmf(np.arange(free + 1), free, x[:, None])
    return Lattice.of(solved + np.arange(free + 1), density, solved + free * rate)


def both_succeed(a: np.ndarray, b: np.ndarray, phi: float) -> np.ndarray:
    """Probability that both of a pair succeed."""
    return np.minimum(a * b + phi * np.sqrt(a * (1 - a) * b * (1 - b)), np.minimum(a, b))


def pairs_of_rates() -> Iterator[tuple[float, float]]:
    """Equal rates, and true gaps from each of ``RATES``."""
    for rate in RATES:
        yield rate, rate
        for gap in GAPS:
            yield round(rate + gap, 10), rate


def generator(*key: int) -> np.random.Generator:
    """Draws that depend on the key alone."""
    return np.random.default_rng(key)


def product(*axes: tuple[float, ...]) -> list[tuple[float, ...]]:
    return list(itertools.product(*axes))
