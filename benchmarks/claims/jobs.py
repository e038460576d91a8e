"""A job is one run: overrides and a seed. Two jobs with the same of both are the same run."""

from __future__ import annotations

from dataclasses import dataclass

from claims.methods import Overrides

BASE = "{base}"
"""In an override: the folder of the warmed-up base of the job's seed, put in when it runs."""


@dataclass(frozen=True, slots=True)
class Job:
    study: str
    """The study that asked for it first."""
    label: str
    overrides: Overrides
    seed: int

    @property
    def key(self) -> tuple[str, int]:
        return (" ".join(self.overrides), self.seed)


def distinct(jobs: list[Job]) -> list[Job]:
    """The jobs without repetitions, the first of each kept."""
    return list({job.key: job for job in reversed(jobs)}.values())[::-1]
