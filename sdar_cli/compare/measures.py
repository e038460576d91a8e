"""The measures of a row, by name in ``report.MEASURES``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sdar_cli.compare.cells import Unit
from sdar_cli.compare.entry import Entry
from sdar_cli.compare.fraction import ratio_over_seeds
from sdar_cli.compare.rates import mean, rate, unit_values
from sdar_cli.compare.report import MEASURES, Measure
from sdar_cli.compare.run_measures import Of, final_over_tasks, run_measures
from sdar_cli.evaluation.pairing import same_tasks
from sdar_cli.evaluation.result import EpisodeRecord, Evaluation
from sdar_cli.evaluation.scores import mean_score
from sdar_cli.statistics import (
    Interval,
    internalised_fraction,
    iqm,
    paired_difference,
    seed_difference,
    share_difference,
)


def measures_of(
    units: Sequence[Unit], *, graded: bool, level: float, last: int, price: float | None
) -> dict[str, Measure]:
    """What a row is measured by; a measure that some run of the row lacks is left out.

    Args:
        graded: whether scores say more than success.
        last: evaluations at the end of training whose mean is ``final``.
        price: money for a device hour.
    """
    found: dict[str, Measure] = {}
    count = sum(len(unit.entries) for unit in units)
    for name in ("success", "success_skills"):
        _put(found, name, rate(units, name, None, level), count)
    if graded:
        _put(found, "score", _times(rate(units, "score", None, level), 100), count)
        _put(found, "score_skills", _score_with_skills(units, level), count)
    _put(found, "gap", _difference(units, _with, _without, level), count)
    _put(found, "gain", _difference(units, _without, _base_without, level), count)
    _put(found, "internalised", internalised(units, level), count)
    values = unit_values(units, "success")
    if values and len(values) > 1:
        found["iqm"] = Measure(iqm(list(values.values())), count=count)
    for name, of_episode in _EPISODES.items():
        _put(found, name, _over_episodes(units, of_episode, level), count)
    for name, of_run, least in run_measures(last, price):
        _put_over_runs(found, name, units, of_run, level, least)
    if len(units) == len(units[0].entries) == 1 and "final" in found:
        final = final_over_tasks(units[0].entries[0], last, level)
        found["final"] = found["final"] if final is None else _measure(final, 1)
    return {name: found[name] for name in MEASURES if name in found}


def base_of(units: Sequence[Unit], level: float) -> dict[str, Measure]:
    """``success`` and ``success_skills`` of the base."""
    found: dict[str, Measure] = {}
    count = sum(len(unit.entries) for unit in units)
    for name, of in (("success", _base_without), ("success_skills", _base_with)):
        evaluations = [[of(entry) for entry in unit.entries] for unit in units]
        if any(one is None for row in evaluations for one in row):
            continue
        shares = [mean([_share(one) for one in row if one is not None]) for row in evaluations]
        first = evaluations[0][0]
        if len(shares) > 1:
            found[name] = _measure(_within(seed_difference(shares, level, grid=_grid(units)), 0.0, 1.0), count)
        elif count == 1 and first is not None:
            found[name] = _measure(first.summary_at(level).success, count)
        else:
            found[name] = Measure(shares[0], count=count)
    return found


def internalised(units: Sequence[Unit], level: float) -> Interval | None:
    """Of one run by the bootstrap over tasks, of several seeds by Fieller's interval over seeds; None where it is
    undefined, or a base was not evaluated in both modes."""
    entries = [entry for unit in units for entry in unit.entries]
    if any(entry.base_no_skills is None or entry.base_skills is None for entry in entries):
        return None
    if len(entries) == 1:
        only = entries[0]
        base, with_skills = only.base_no_skills, only.base_skills
        if base is None or with_skills is None or not _paired(only.no_skills, base, with_skills):
            return None
        return internalised_fraction(only.no_skills.won(), base.won(), with_skills.won(), level=level)
    if len(units) < 2:
        return None
    gained = [mean([_share(e.no_skills) - _share(e.base_no_skills) for e in unit.entries]) for unit in units]
    offered = [mean([_share(e.base_skills) - _share(e.base_no_skills) for e in unit.entries]) for unit in units]
    return ratio_over_seeds(gained, offered, level, grid=_grid(units))


_EPISODES: Mapping[str, Callable[[EpisodeRecord], float]] = {
    "turns": lambda record: float(record.turns),
    "response_tokens": lambda record: float(record.response_tokens),
}
_SHARES = ("invalid", "final", "best", "inflation")


def _put_over_runs(
    found: dict[str, Measure], name: str, units: Sequence[Unit], of: Of, level: float, least: float
) -> None:
    rows = [[of(entry) for entry in unit.entries] for unit in units]
    if any(value is None for row in rows for value in row):
        return
    values = [mean([value for value in row if value is not None]) for row in rows]
    count = sum(map(len, rows))
    if len(values) < 2:
        found[name] = Measure(values[0], count=count)
        return
    share = name in _SHARES
    whole = seed_difference(values, level, grid=_grid(units) if share and name != "invalid" else None)
    found[name] = _measure(_within(whole, least, 1.0 if share else None), count)


def _over_episodes(units: Sequence[Unit], of: Callable[[EpisodeRecord], float], level: float) -> Interval | None:
    """Student's t over seeds, or over the episodes of one run."""
    means = [mean([mean([of(r) for r in entry.no_skills.records]) for entry in unit.entries]) for unit in units]
    if len(means) == 1:
        means = [of(record) for entry in units[0].entries for record in entry.no_skills.records]
    if len(means) < 2:
        return None
    return _within(seed_difference(means, level), 0.0, None)


def _difference(
    units: Sequence[Unit],
    first: Callable[[Entry], Evaluation | None],
    second: Callable[[Entry], Evaluation | None],
    level: float,
) -> Interval | None:
    """Within runs: paired by task in one run (Newcombe), Student's t over seeds of several."""
    pairs = [[(first(entry), second(entry)) for entry in unit.entries] for unit in units]
    if any(one is None for row in pairs for pair in row for one in pair):
        return None
    values = [mean([_share(a) - _share(b) for a, b in row]) for row in pairs]
    if len(values) > 1:
        return _within(seed_difference(values, level, grid=_grid(units)), -1.0, 1.0)
    a, b = pairs[0][0]
    if len(pairs[0]) > 1 or a is None or b is None:
        return Interval(values[0], -1.0, 1.0, level)
    if not _paired(a, b):
        return share_difference(sum(a.won()), len(a.won()), sum(b.won()), len(b.won()), level)
    return paired_difference(a.won(), b.won(), level)


def _score_with_skills(units: Sequence[Unit], level: float) -> Interval | None:
    scores = [[entry.skills.scores() if entry.skills else None for entry in unit.entries] for unit in units]
    if any(one is None for row in scores for one in row):
        return None
    means = [mean([mean(one) for one in row if one is not None]) for row in scores]
    if len(means) > 1:
        return _times(_within(seed_difference(means, level, grid=_grid(units)), 0.0, 1.0), 100)
    flat = [score for one in scores[0] if one is not None for score in one]
    return _times(mean_score(flat, level), 100)


def _without(entry: Entry) -> Evaluation | None:
    return entry.no_skills


def _with(entry: Entry) -> Evaluation | None:
    return entry.skills


def _base_without(entry: Entry) -> Evaluation | None:
    return entry.base_no_skills


def _base_with(entry: Entry) -> Evaluation | None:
    return entry.base_skills


def _paired(first: Evaluation, *others: Evaluation) -> bool:
    return all(same_tasks(first, other) for other in others)


def _share(evaluation: Evaluation | None) -> float:
    if evaluation is None:
        raise ValueError("no evaluation to take a share of")
    return sum(record.won for record in evaluation.records) / len(evaluation.records)


def _grid(units: Sequence[Unit]) -> float:
    """The step of a unit's share."""
    return 1 / min(len(unit.entries) * len(unit.entries[0].no_skills.records) for unit in units)


def _put(found: dict[str, Measure], name: str, interval: Interval | None, count: int) -> None:
    if interval is not None:
        found[name] = _measure(interval, count)


def _measure(interval: Interval, count: int) -> Measure:
    return Measure(interval.estimate, interval.low, interval.high, count)


def _times(interval: Interval | None, factor: float) -> Interval | None:
    if interval is None:
        return None
    return Interval(interval.estimate * factor, interval.low * factor, interval.high * factor, interval.level)


def _within(interval: Interval, least: float, most: float | None) -> Interval:
    high = interval.high if most is None else min(most, interval.high)
    return Interval(interval.estimate, max(least, interval.low), high, interval.level)
