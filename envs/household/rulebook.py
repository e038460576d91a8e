"""A rulebook: which station serves which verb."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from sdar_envs.household.words import ALL_VERBS, STATIONS


@dataclass(frozen=True)
class Rulebook:
    """Verb → the one station that serves it; every station serves exactly one verb."""

    stations: Mapping[str, str]

    @classmethod
    def draw(cls, seed: int) -> Rulebook:
        """A uniformly drawn rulebook (12! of them), a function of ``seed`` alone."""
        stations = list(STATIONS)
        random.Random(f"household rulebook {seed}").shuffle(stations)
        return cls(MappingProxyType(dict(zip(ALL_VERBS, stations, strict=True))))

    def misstated(self, share: float, seed: int) -> Rulebook:
        """The rulebook with round(share · 12) verbs given another verb's, hence a wrong, station.

        The wrong stations are as spread as the right ones: the chosen verbs pass theirs on in a circle,
        and a single one takes any other.
        """
        rng = random.Random(f"household wrong rules {seed}")
        chosen = sorted(rng.sample(ALL_VERBS, round(share * len(ALL_VERBS))), key=ALL_VERBS.index)
        wrong = dict(self.stations)
        if len(chosen) == 1:
            wrong[chosen[0]] = rng.choice([station for station in STATIONS if station != wrong[chosen[0]]])
        else:
            rng.shuffle(chosen)
            for verb, donor in zip(chosen, chosen[1:] + chosen[:1], strict=True):
                wrong[verb] = self.stations[donor]
        return Rulebook(MappingProxyType(wrong))
