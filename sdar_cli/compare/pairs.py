"""Which rows are tested against which, over the panel and by task type, with Holm's correction over each family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from sdar_cli.compare.cells import Group, text
from sdar_cli.compare.differences import UNPAIRED, Finding, find
from sdar_cli.compare.options import MOST_ROWS, Options
from sdar_cli.compare.rates import Measured
from sdar_cli.compare.report import Pair
from sdar_cli.errors import UserError
from sdar_cli.statistics import Interval, holm


@dataclass(frozen=True, slots=True)
class Tested:
    first: Group
    second: Group
    measure: Measured
    part: str | None
    finding: Finding


def tested(groups: Sequence[Group], types: Sequence[str], options: Options, *, graded: bool) -> list[Tested]:
    """Success without and with skills (and the score, where it says more) of every pair, then the measure that was
    asked for by task type.

    Raises:
        UserError: there is no row of the baseline's name.
    """
    chosen = _chosen(groups, options.baseline)
    measures: list[Measured] = ["success", "success_skills", *(["score"] if graded else [])]
    if options.metric == "score" and graded:
        measures.sort(key=lambda measure: measure != "score")
    found = []
    for measure in measures:
        parts: list[str | None] = [None]
        if measure == options.metric and len(types) > 1:
            parts += types
        for part in parts:
            for first, second in chosen:
                finding = find(first.units, second.units, measure, part, options.level)
                if finding is not None:
                    found.append(Tested(first, second, measure, part, finding))
    return found


def pairs_of(found: Sequence[Tested]) -> tuple[Pair, ...]:
    """With adjusted p-values: a family is a measure's pairs over the panel, or over all its task types."""
    families: dict[tuple[str, bool], list[int]] = {}
    for place, one in enumerate(found):
        families.setdefault((one.measure, one.part is not None), []).append(place)
    adjusted = {}
    for places in families.values():
        adjusted |= dict(zip(places, holm([found[place].finding.p_value for place in places]), strict=True))
    return tuple(_pair(one, adjusted[place]) for place, one in enumerate(found))


def notes_on(found: Sequence[Tested], rows: int) -> list[str]:
    """What the pairs are about, and where they rest on fewer seeds than there are."""
    whole = [one for one in found if one.part is None]
    checkpoints = {(one.first.label, one.second.label): one for one in whole if one.finding.about == "checkpoints"}
    notes = []
    if checkpoints and rows == 2:
        notes.append("This is about these two checkpoints, not the methods: one seed each.")
    elif checkpoints:
        every = len(checkpoints) == len({(one.first.label, one.second.label) for one in whole})
        which = "The pairs are" if every else f"{_names(checkpoints)} are"
        notes.append(f"{which} about these checkpoints, not the methods: one seed each.")
    for one in whole:
        ours, theirs = one.first.seeds, one.second.seeds
        used, other = one.finding.seeds
        names = f"{one.first.label} − {one.second.label}"
        if one.finding.test == UNPAIRED:
            notes.append(f"{names}: fewer than two seeds are shared, so they are not paired ({UNPAIRED}).")
        elif (used, other) != (ours, theirs):
            own = _seeds(used) if used == other else f"{_seeds(used)} and {_seeds(other)}"
            notes.append(f"{names}: by {own} alone, of {_seeds(ours)} and {_seeds(theirs)}.")
    return list(dict.fromkeys(notes))


def _chosen(groups: Sequence[Group], baseline: str | None) -> list[tuple[Group, Group]]:
    if baseline is not None:
        against = _named(groups, baseline)
        return [(group, against) for group in groups if group is not against]
    if len(groups) <= MOST_ROWS:
        return list(combinations(groups, 2))
    return [(group, groups[0]) for group in groups[1:]]


def _named(groups: Sequence[Group], baseline: str) -> Group:
    """By its label, one of its values (``grpo``, ``0.2``), or the name of a run of it."""
    for names in (
        lambda group: [group.label],
        lambda group: [text(value) for value in group.settings.values()],
        lambda group: [entry.name for entry in group.entries],
    ):
        found = [group for group in groups if baseline in names(group)]
        if len(found) == 1:
            return found[0]
    labels = "; ".join(group.label for group in groups)
    raise UserError(f"--baseline {baseline!r} names no single row: choose from {labels}")


def _pair(one: Tested, adjusted: float) -> Pair:
    finding, factor = one.finding, 100 if one.measure == "score" else 1
    interval = finding.difference
    scaled = Interval(interval.estimate * factor, interval.low * factor, interval.high * factor, interval.level)
    return Pair(
        first=one.first.label,
        second=one.second.label,
        measure=one.measure,
        part=one.part,
        difference=scaled if factor != 1 else replace(interval),
        p_value=finding.p_value,
        p_adjusted=adjusted,
        test=finding.test,
        about=finding.about,
        count=finding.count,
        effect=finding.effect,
        effect_name=finding.effect_name,
        improvement=finding.improvement,
        needed=finding.needed,
    )


def _names(found: dict[tuple[str, str], Tested]) -> str:
    names = [f"{first} − {second}" for first, second in found]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more pairs" if len(names) > 3 else "")


def _seeds(seeds: Sequence[int]) -> str:
    return ("seed " if len(seeds) == 1 else "seeds ") + ", ".join(map(str, seeds))
