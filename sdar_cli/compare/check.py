"""Whether runs were evaluated alike: what differs is refused by name, or let through and shown with every output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sdar_cli.compare.entry import Entry
from sdar_cli.errors import PanelError
from sdar_cli.evaluation.files import canonical
from sdar_cli.evaluation.result import Evaluation

NAMED = 3
"""Runs that a sentence names; further ones are counted."""

Told = dict[str, tuple[Any, list[str]]]
"""A condition's values, by their JSON text: the value, and the runs that it holds in."""


def conditions(entries: Sequence[Entry], *, force: bool) -> tuple[str, ...]:
    """One phrase for every condition in which the runs' evaluations differ; ``force`` returns them.

    Base and end count, in both modes. What a file does not say of its environment's options and facts is unknown.

    Raises:
        PanelError: there is one, and no ``force``; the sentence has the key, the values and their runs.
    """
    sampling = sorted({key for entry in entries for one in entry.evaluations() for key in one.sampling})
    told: dict[str, Told] = {}
    for entry in entries:
        for one in entry.evaluations():
            for key, value in _said(one, sampling):
                _, names = told.setdefault(key, {}).setdefault(canonical(value), (value, []))
                if entry.name not in names:
                    names.append(entry.name if one is entry.no_skills else f"{entry.name} ({one.name})")
    if len(told["environment"]) > 1 or len(told["panel"]) > 1:
        del told["tasks"]  # it goes without saying
    phrases = tuple(_phrase(key, values) for key, values in told.items() if len(values) > 1)
    if phrases and not force:
        raise PanelError(
            f"these runs were evaluated under different conditions ({phrases[0]}{_more(len(phrases) - 1)}): evaluate "
            "them alike with `sdar eval`, or give --force, which marks every output"
        )
    return phrases


def _said(one: Evaluation, sampling: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """The conditions of an evaluation, the gravest first."""
    yield "environment", one.environment
    yield "panel", one.panel
    yield "tasks", [record.task_id for record in one.records]
    yield "split", one.split
    for key in sampling:
        yield f"sampling.{key}", one.sampling.get(key)
    for section in ("options", "facts"):
        for key, value in sorted(getattr(one, section).items()):
            yield f"{section}.{key}", value
    yield "evaluation.panel_seed", one.seed
    yield "bank", one.bank_digest


def _phrase(key: str, values: Told) -> str:
    """``sampling.temperature is 0.4 in a and 1 in b``."""
    return f"{key} is " + " and ".join(f"{_text(key, value)} in {_names(names)}" for value, names in values.values())


def _names(names: Sequence[str]) -> str:
    further = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {further} more" if further > 0 else "")


def _more(count: int) -> str:
    return f"; and {count} more" if count > 0 else ""


def _text(key: str, value: Any) -> str:
    if key in ("panel", "bank") and isinstance(value, str):
        return value[:12]
    if key == "tasks":
        return f"{len(value)} tasks"
    return value if isinstance(value, str) else canonical(value)
