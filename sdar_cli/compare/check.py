"""Whether runs were evaluated alike: what differs is refused by name, or let through and shown with every output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sdar_cli.compare.entry import Entry
from sdar_cli.errors import PanelError
from sdar_cli.evaluation.files import canonical
from sdar_cli.evaluation.pairing import Difference, differences
from sdar_cli.evaluation.result import Evaluation

NAMED = 3
"""Runs that a sentence names; further ones are counted."""


def conditions(entries: Sequence[Entry], *, force: bool) -> tuple[str, ...]:
    """One phrase for every condition in which the runs' evaluations differ; ``force`` returns them.

    Raises:
        PanelError: there is one, and no ``force``; the sentence has the key, the values and their runs.
    """
    first = entries[0]
    found: dict[str, dict[str, list[str]]] = {}
    for entry in entries:
        for one in entry.evaluations():
            for difference in _differences(first.no_skills, one):
                values = found.setdefault(difference.key, {_text(difference.key, difference.first): [first.name]})
                names = values.setdefault(_text(difference.key, difference.second), [])
                if entry.name not in names:
                    names.append(entry.name)
    for values in found.values():
        alike = [entry.name for entry in entries[1:] if not any(entry.name in names for names in values.values())]
        values[next(iter(values))] += alike
    phrases = tuple(_phrase(key, values) for key, values in found.items())
    if phrases and not force:
        raise PanelError(
            f"these runs were evaluated under different conditions ({phrases[0]}{_more(len(phrases) - 1)}): evaluate "
            "them alike with `sdar eval`, or give --force, which marks every output"
        )
    return phrases


def _differences(first: Evaluation, other: Evaluation) -> list[Difference]:
    found = differences(first, other)
    for key in ("split", "seed", "bank_digest"):
        ours, theirs = getattr(first, key), getattr(other, key)
        if ours != theirs:
            found.append(
                Difference({"seed": "evaluation.panel_seed", "bank_digest": "bank"}.get(key, key), ours, theirs)
            )
    return found


def _phrase(key: str, values: dict[str, list[str]]) -> str:
    """``sampling.temperature is 0.4 in a and 1 in b``."""
    return f"{key} is " + " and ".join(f"{value} in {_names(names)}" for value, names in values.items())


def _names(names: Sequence[str]) -> str:
    further = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {further} more" if further > 0 else "")


def _more(count: int) -> str:
    return f"; and {count} more" if count > 0 else ""


def _text(key: str, value: Any) -> str:
    if key in ("panel", "bank") and isinstance(value, str):
        return value[:12]
    if key == "tasks":
        return f"{value} tasks"
    return value if isinstance(value, str) else canonical(value)
