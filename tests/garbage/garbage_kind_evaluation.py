"""Evaluations in a run's folder, as ``sdar compare`` reads them."""

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

from sdar_cli.evaluation.result import LARGEST

FILE = "runs/a/evaluations/trained-step-4-no_skills.json"
RECORD = ("task_id", "task_type", "won", "score", "reward", "turns", "prompt_tokens", "invalid_turns", "stop", "skills")
NEEDED = ("mode", "label", "environment", "panel", "sampling", "seed", "engine", "records", "seconds", "summary")


def _lay(folder: Path) -> Call:
    garbage_runs.lay(folder)
    return Call(["compare", "a", "b", "--runs", "runs", "--json"])


@cache
def sample() -> j.JsonSample:
    records = [("records", 1, key) for key in RECORD]
    top = [(key,) for key in NEEDED]
    numbers = [("records", 2, key) for key in ("score", "reward", "turns", "response_tokens")]
    return j.JsonSample(
        tree=garbage_runs.tree(FILE.removeprefix("runs/")),
        lay=_lay,
        file=FILE,
        most=LARGEST,
        texts=[("label",), ("engine",), ("records", 0, "task_id"), ("records", 0, "stop")],
        strict=[*top, *records, ("means",), ("options",), ("facts",), ("records", 0, "skills")],
        numbers=[*numbers, ("seed",), ("seconds",), ("summary", "turns")],
        required=[*top, *records],
        keyed=[*top, *records],
        sections=[("records", 0), ("records", 3), ("summary",)],
        doubles=[*top, *records],
        without=frozenset({"missing", "dangling link"}),
    )


def _type(folder: Path, random: Random) -> Call:
    at = random.choice(sample().strict)
    value = m.get(sample().tree, at)
    others = m.other_types(value)
    if type(value) is float:
        others = [one for one in others if not isinstance(one, int) or isinstance(one, bool)]
    if at in (("sampling",), ("means",), ("options",), ("facts",)) or at[-1] == "skills":
        others = [one for one in others if one not in ([], ["odd"], {}, {"odd": 1})] + [7]
    return sample().call(folder, json.dumps(m.put(sample().tree, at, random.choice(others))))


def _edited(folder: Path, random: Random) -> Call:
    """Records that the summary does not follow from."""
    tree = sample().tree
    at = (
        "records",
        random.randrange(4),
        random.choice(("won", "score", "turns", "response_tokens", "task_type", "stop")),
    )
    value = m.get(tree, at)
    changed = not value if isinstance(value, bool) else value + (1 if isinstance(value, int | float) else "x")
    if random.random() < 0.2:
        return sample().call(folder, json.dumps({**tree, "records": tree["records"] * 2}))
    return sample().call(folder, json.dumps(m.put(tree, at, changed)))


def plain(folder: Path, random: Random) -> Call:
    return sample().call(folder, json.dumps(sample().tree))


def read_back(outcome: Outcome) -> Any:
    text = outcome.out.decode().replace(str(outcome.folder), "HERE")
    return json.loads(text)


def _unknown(folder: Path, random: Random) -> Call:
    """A key of a later version."""
    return sample().call(folder, json.dumps(m.with_unknown(sample().tree, (), random)))


def _older(folder: Path, random: Random) -> Call:
    """A file of before some of the keys were written."""
    tree = dict(sample().tree)
    for key in random.sample(("means", "options", "facts", "extra"), random.randint(1, 3)):
        tree.pop(key)
    return sample().call(folder, json.dumps(tree))


_REFUSED, _ACCEPTED, _EITHER = garbage_runs.later(sample, "unknown")
KIND = Kind(
    "evaluation",
    plain,
    {**_REFUSED, "type": _type, "edited": _edited},
    {**_ACCEPTED, "unknown": _unknown, "older": _older},
    read_back,
    _EITHER,
)
