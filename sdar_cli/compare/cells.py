"""Which runs make one row: those of one cell, or those that agree in the keys of ``--by``."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sdar_cli.compare.entry import Entry
from sdar_cli.compare.options import Axis, Options
from sdar_cli.errors import RecipeError, RunError
from sdar_cli.evaluation.files import canonical
from sdar_cli.recipe.layers import SYNONYMS, leaves

UNREAD = "–"
"""Value of a setting that nothing reads under the run's method."""
_IDLE = "not read"
"""Such a setting's origin in ``run.json``; ``sdar_cli.recipe.load.IDLE``."""
APART = (
    *("seed", "name", "description", "tracking", "evaluation.transcripts", "guards", "engine.threads"),
    *("environment.worker_memory", "engine.request_timeout"),
)
"""Keys and sections in which the runs of one cell may differ."""


@dataclass(frozen=True, slots=True)
class Unit:
    """What one seed contributes to a row: one run, or several that differ in settings the row does not tell apart."""

    seed: int
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """The runs of one row."""

    label: str
    settings: Mapping[str, Any]
    units: tuple[Unit, ...]
    """By ascending seed."""

    @property
    def entries(self) -> list[Entry]:
        return [entry for unit in self.units for entry in unit.entries]

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(unit.seed for unit in self.units)


def flat(entry: Entry) -> dict[str, Any]:
    """The settings that make a cell, by dotted key."""
    return {key: value for key, value in leaves(entry.settings) if not _apart(key)}


def cell_key(entry: Entry) -> str:
    """Equal for the runs of one cell."""
    return canonical(flat(entry))


def value_at(entry: Entry, key: str) -> Any:
    """A setting by its dotted key, as typed: ``gate.temperature`` is the inverse of ``gate.beta``; None without it,
    ``UNREAD`` where the run's method does not read it."""
    stored = SYNONYMS.get(key, key)
    if entry.state.origins.get(stored) == _IDLE:
        return UNREAD
    value: Any = entry.settings
    for part in stored.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if key in SYNONYMS and isinstance(value, int | float):
        return _inverse(float(value))
    return value


def differing(entries: Sequence[Entry], *, with_seed: bool = False) -> list[str]:
    """The keys, as typed, in which runs differ, in the schema's order."""
    settings = [flat(entry) for entry in entries]
    keys = dict.fromkeys(key for one in settings for key in one)
    found = [key for key in keys if len({canonical(one.get(key)) for one in settings}) > 1]
    if "method" in found:
        found = ["method", *(key for key in found if key != "method")]
    if with_seed and len({entry.seed for entry in entries}) > 1:
        found.append("seed")
    return [_as_typed(key, entries) for key in found]


def groups(entries: Sequence[Entry], options: Options) -> list[Group]:
    """The rows of a comparison, in the order of display.

    Raises:
        RunError: two runs of one cell have the same seed.
        RecipeError: a key of ``--by`` does not exist.
    """
    if options.rows == "run":
        return _a_row_a_run(entries)
    axes = {axis.key: axis for axis in (options.study.axes if options.study else ())}
    if options.rows == "cell":
        keys = list(axes) if axes else _own(differing(entries), entries)
        return _grouped(entries, keys, axes, cell_key)
    for key in options.rows:
        check_key(key)
    return _grouped(entries, list(options.rows), axes, None)


def check_key(key: str) -> None:
    """Raises RecipeError, naming the nearest key, for one that no recipe has, and for the seed."""
    from sdar_cli.recipe.explain import schema_keys, unknown_key
    from sdar_cli.recipe.schema import Recipe

    if key == "seed":
        raise RecipeError("--by seed would leave nothing to take a mean over: leave --by out for a row a run")
    known = {*schema_keys(Recipe), *SYNONYMS}
    if key not in known and not key.startswith(("environment.options.", "model.template_kwargs.")):
        raise RecipeError(unknown_key(key, f"--by {key}", known))


def label_of(settings: Mapping[str, Any]) -> str:
    """``sdar, gate.temperature=0.2``: a method speaks for itself, every other value follows its key; what is not
    read is left out."""
    read = {key: value for key, value in settings.items() if value != UNREAD}
    return ", ".join(text(value) if key == "method" else f"{key}={text(value)}" for key, value in read.items())


def text(value: Any) -> str:
    """A setting's value as it would be typed."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return f"{value:.12g}"
    return value if isinstance(value, str) else canonical(value) if isinstance(value, list | dict) else str(value)


def same(value: Any) -> str:
    """Equal for equal values, ``1`` and ``1.0`` among them."""
    if isinstance(value, list):
        return canonical([same(one) for one in value])
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return canonical(float(value) if number else value)


def pooled(group: Group) -> list[str]:
    """The keys in which runs of one seed of a row differ: the row is their mean."""
    found = [key for unit in group.units if len(unit.entries) > 1 for key in differing(unit.entries)]
    return list(dict.fromkeys(found))


def _own(keys: Sequence[str], entries: Sequence[Entry]) -> list[str]:
    """Without the keys that differ only in that some methods do not read them, which the method says."""
    return [
        key for key in keys if len({same(value) for entry in entries if (value := value_at(entry, key)) != UNREAD}) > 1
    ]


def _a_row_a_run(entries: Sequence[Entry]) -> list[Group]:
    keys = differing(entries, with_seed=True)
    return [
        Group(entry.name, {key: value_at(entry, key) for key in keys}, (Unit(entry.seed, (entry,)),))
        for entry in entries
    ]


def _grouped(entries: Sequence[Entry], keys: Sequence[str], axes: Mapping[str, Axis], key_of: Any) -> list[Group]:
    """``key_of`` tells the rows apart; None: the values at ``keys`` do."""
    found: dict[Hashable, list[Entry]] = {}
    for entry in entries:
        own = key_of(entry) if key_of else same([value_at(entry, key) for key in keys])
        found.setdefault(own, []).append(entry)
    made = []
    for members in found.values():
        settings = {key: value_at(members[0], key) for key in keys}
        made.append(Group(label_of(settings) or _one_cell(members), settings, _units(members)))
    ranks = {key: _ranks(key, [group.settings[key] for group in made], axes.get(key)) for key in keys}
    made.sort(key=lambda group: [ranks[key][same(group.settings[key])] for key in keys])
    return _told_apart(made)


def _units(members: Iterable[Entry]) -> tuple[Unit, ...]:
    seeds: dict[int, dict[str, Entry]] = {}
    for entry in members:
        own = seeds.setdefault(entry.seed, {})
        other = own.setdefault(cell_key(entry), entry)
        if other is not entry:
            raise RunError(
                f"the runs {other.name} and {entry.name} have the same settings and the same seed {entry.seed}, and "
                "only one of them can count: name the runs without the other, or remove it with `sdar runs rm`"
            )
    return tuple(Unit(seed, tuple(seeds[seed].values())) for seed in sorted(seeds))


def _ranks(key: str, values: Sequence[Any], axis: Axis | None) -> dict[str, float]:
    """Place of a value among a key's: as typed in the study, numbers by size, anything else as it came; what is not
    read comes first."""
    distinct = {same(value): value for value in values if value != UNREAD}
    typed = {same(value): place for place, value in enumerate(axis.choices if axis else ())}
    if distinct.keys() <= typed.keys():
        ranks = {name: float(typed[name]) for name in distinct}
    elif all(isinstance(value, int | float) and not isinstance(value, bool) for value in distinct.values()):
        ranks = {name: float(value) for name, value in distinct.items()}
    else:
        ranks = {name: float(place) for place, name in enumerate(distinct)}
    return ranks | {same(UNREAD): -math.inf}


def _told_apart(made: list[Group]) -> list[Group]:
    """Labels that are unique, as pairs and readers refer to them: an equal one gets the first run's name."""
    labels = [group.label for group in made]
    return [
        group
        if labels.count(group.label) == 1
        else Group(f"{group.label} ({group.entries[0].name})", group.settings, group.units)
        for group in made
    ]


def _one_cell(members: Sequence[Entry]) -> str:
    return str(members[0].settings.get("name") or members[0].state.recipe)


def _as_typed(key: str, entries: Sequence[Entry]) -> str:
    """A synonym where a run's recipe was written with it."""
    for typed, stored in SYNONYMS.items():
        if stored == key and any(entry.state.origins.get(key, "").endswith(f"(as {typed})") for entry in entries):
            return typed
    return key


def _apart(key: str) -> bool:
    return any(key == one or key.startswith(f"{one}.") for one in APART)


def _inverse(beta: float) -> Any:
    """τ = 1/β, without the digits that the division adds; ``inf`` as text, which JSON can hold."""
    return float(f"{1 / beta:.12g}") if beta and math.isfinite(1 / beta) else "inf"
