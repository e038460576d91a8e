"""Panels, as ``sdar panel show`` reads them; damage that everybody sees, and damage whose hashes were made to fit."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import garbage_json as j
import garbage_runs
import mutations as m
from harness import Call, Kind, Outcome

from sdar_cli.evaluation import panel_format
from sdar_cli.evaluation.files import digest


@cache
def sample() -> j.JsonSample:
    tree = garbage_runs.panel()
    every = [at for at, _ in m.leaves(tree)]
    return j.JsonSample(
        tree=tree,
        lay=lambda folder: Call(["panel", "show", "panel.json", "--json"]),
        file="panel.json",
        most=panel_format.LARGEST,
        texts=[("environment",), ("split",), ("task_ids", 1), ("task_types", 0), ("settings", "style")],
        strict=every,
        required=[(key,) for key in tree],
        keyed=[(key,) for key in tree],
        sections=[()],
        doubles=[(key,) for key in tree],
    )


def sealed(tree: dict[str, Any]) -> dict[str, Any]:
    """The tree with the hashes that belong to it."""
    content = {key: value for key, value in tree.items() if key != "checksum"}
    content["digest"] = digest({key: content.get(key) for key in panel_format.HASHED})
    return content | {"checksum": digest(content)}


def _resealed(folder: Path, random: Random) -> Call:
    """Another kind of value under hashes that fit it."""
    tree = sample().tree
    at = random.choice([("environment",), ("options",), ("split",), ("seed",), ("task_ids", 0), ("task_types", 2)])
    return sample().call(folder, json.dumps(sealed(m.retyped(tree, at, random))))


def _twice(folder: Path, random: Random) -> Call:
    """A key or a task twice."""
    if random.random() < 0.5:
        return sample().call(folder, m.twice(sample().tree, random.choice(sample().doubles), random))
    ids = sample().tree["task_ids"]
    repeated = {**sample().tree, "task_ids": [*ids[:2], random.choice(ids[:2])]}
    return sample().call(folder, json.dumps(sealed(repeated)))


def _edited(folder: Path, random: Random) -> Call:
    """Another value of the same kind with the hashes left, or hashes that fit more types than tasks, or fewer."""
    tree = sample().tree
    at = random.choice([at for at, _ in m.leaves(tree) if at != ("format",)])
    value = m.get(tree, at)
    changed = value + random.choice((1, 5)) if isinstance(value, int) else value + random.choice((" ", "x", "é"))
    if random.random() < 0.2:
        types = tree["task_types"]
        wrong = random.choice((types[:1], types[:2], [*types, "clean"], types * 30))
        return sample().call(folder, json.dumps(sealed({**tree, "task_types": wrong})))
    return sample().call(folder, json.dumps(m.put(tree, at, changed)))


def _retyped(folder: Path, random: Random) -> Call:
    tree = sample().tree
    return sample().call(folder, json.dumps(m.retyped(tree, random.choice(sample().strict), random)))


def plain(folder: Path, random: Random) -> Call:
    return sample().call(folder, json.dumps(sample().tree))


def read_back(outcome: Outcome) -> Any:
    return json.loads(outcome.out)


def _read(tree: dict[str, Any]) -> dict[str, Any]:
    types = tree.get("task_types", [])
    return {
        **{key: tree[key] for key in ("environment", "options", "split", "seed", "digest", "task_ids")},
        "settings": tree.get("settings", {}),
        "tasks": len(tree["task_ids"]),
        "task_types": {name: types.count(name) for name in sorted(set(types))},
        "checked_against_training_tasks": None,
    }


def _other(folder: Path, random: Random) -> Call:
    """Names of any letters, which are shown and not obeyed."""
    names = random.sample((*m.CONTROL[1:], *m.BIDI, *m.WORDS, "a\nb", "../..", "=1+1"), 3)
    tree = sealed({**sample().tree, "task_ids": names, "task_types": names[::-1]})
    call = sample().call(folder, m.json_spelling(tree, random))
    return Call(call.words, expects=_read(tree))


def _first_format(folder: Path, random: Random) -> Call:
    """A file of before there were types and settings."""
    old = {key: sample().tree[key] for key in ("digest", *panel_format.HASHED)} | {"format": 1}
    call = sample().call(folder, m.json_spelling(old, random))
    return Call(call.words, expects=_read(old))


_REFUSED, _ACCEPTED, _EITHER = garbage_runs.later(sample, "unknown")
KIND = Kind(
    "panel",
    plain,
    {**_REFUSED, "type": _resealed, "duplicate": _twice, "edited": _edited},
    {**_ACCEPTED, "letters": _other, "format 1": _first_format},
    read_back,
    {**_EITHER, "kinds": _retyped},
)
