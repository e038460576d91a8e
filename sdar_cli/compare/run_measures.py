"""Measures that every run has one value of: its best and last evaluations, and what it cost."""

from __future__ import annotations

from collections.abc import Callable

from sdar_cli.compare.entry import Entry
from sdar_cli.compare.rates import mean
from sdar_cli.evaluation.scores import mean_score
from sdar_cli.statistics import Interval

Of = Callable[[Entry], float | None]
"""One run's value; None where it has none."""


def run_measures(last: int, price: float | None) -> list[tuple[str, Of, float]]:
    """Name, value of one run, and the least that it can be."""

    def final(entry: Entry) -> float | None:
        rates = evaluated(entry)
        return mean(rates[-last:]) if len(rates) > 1 else None

    def best(entry: Entry) -> float | None:
        rates = evaluated(entry)
        return max(rates) if len(rates) > 1 else None

    def inflation(entry: Entry) -> float | None:
        highest, end = best(entry), final(entry)
        return None if highest is None or end is None else highest - end

    def hours(entry: Entry) -> float | None:
        return None if entry.device_seconds is None else entry.device_seconds / 3600

    def cost(entry: Entry) -> float | None:
        taken = hours(entry)
        return None if taken is None or price is None else taken * price

    def prompt_tokens(entry: Entry) -> float | None:
        return entry.no_skills.summary.prompt_tokens_per_turn

    def invalid(entry: Entry) -> float | None:
        return entry.no_skills.summary.invalid_action_rate

    return [
        ("prompt_tokens", prompt_tokens, 0.0),
        ("invalid", invalid, 0.0),
        ("final", final, 0.0),
        ("best", best, 0.0),
        ("inflation", inflation, -1.0),
        ("seconds", lambda entry: entry.seconds, 0.0),
        ("device_hours", hours, 0.0),
        ("cost", cost, 0.0),
    ]


def evaluated(entry: Entry) -> list[float]:
    """Success without skills at every evaluation of training, in order; the base is none of them."""
    return [solved / tasks for step, (solved, tasks) in entry.curve.items() if step > 0]


def final_over_tasks(entry: Entry, last: int, level: float) -> Interval | None:
    """The mean of one run's last evaluations, with Student's t over each task's mean; None where a file is gone."""
    steps = [step for step in entry.curve if step > 0][-last:]
    evaluations = [one for step in steps if (one := entry.at(step)) is not None]
    tasks = [[float(won) for won in one.won()] for one in evaluations]
    if len(tasks) < len(steps) or len({len(one) for one in tasks}) > 1:
        return None
    return mean_score([mean(list(of_task)) for of_task in zip(*tasks, strict=True)], level)
