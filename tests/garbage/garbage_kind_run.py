"""``run.json``: read by ``sdar runs show``, and left out of ``sdar runs ls`` where it is damaged."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import garbage_json as j
import garbage_runs
import mutations as m
from harness import Call, Kind, Make, Outcome

from sdar_cli.runs.state import LARGEST

NULLABLE = [(key,) for key in ("ended", "mlflow_run_id", "tracking_uri", "experiment", "error", "git_commit")]
NEEDED = [(key,) for key in ("name", "recipe", "recipe_digest", "steps", "started")]
ABSURD = ("1e18", "-1", "-0.5", "2.5", '"5"', "true", "1e11e", "9223372036854775807e1")
"""What no step is, and no moment."""


def _lay(folder: Path) -> Call:
    garbage_runs.lay(folder)
    return Call(["runs", "show", "a", "--runs", "runs", "--json"])


@cache
def sample() -> j.JsonSample:
    tree = garbage_runs.tree("a/run.json")
    return j.JsonSample(
        tree=tree,
        lay=_lay,
        file="runs/a/run.json",
        most=LARGEST,
        texts=[("recipe",), ("status",), ("name",), ("settings", "method")],
        strict=[*NEEDED, ("status",), ("step",), ("settings",), ("origins",), ("versions",), ("warnings",)],
        required=NEEDED,
        keyed=NEEDED,
        doubles=[*NEEDED, ("settings", "seed"), ("settings", "tracking", "group")],
    )


def _type(folder: Path, random: Random) -> Call:
    tree = sample().tree
    at = random.choice([*sample().strict, *NULLABLE])
    value = m.get(tree, at)
    others = [one for one in m.other_types(value) if at not in NULLABLE or one is not None]
    if at in (("started",), ("ended",)):
        others = [one for one in others if type(one) not in (int, float)]
    elif at in NULLABLE:
        others = [one for one in others if not isinstance(one, str)]
    if at == ("status",):  # a list takes any word
        others.remove("odd") if "odd" in others else None
    if at in (("settings",), ("origins",), ("versions",), ("warnings",)):
        others = [one for one in others if one not in ({}, {"odd": 1}, [])] + ["{}"]
    return sample().call(folder, json.dumps(m.put(tree, at, random.choice(others))))


def _number(folder: Path, random: Random) -> Call:
    at = random.choice([("started",), ("step",), ("steps",), ("ended",)])
    raws = [raw for raw in (*m.NUMBERS, *ABSURD) if raw != "2.5" or at in (("step",), ("steps",))]
    return sample().call(folder, m.spliced(sample().tree, at, random.choice(raws)))


def plain(folder: Path, random: Random) -> Call:
    return sample().call(folder, json.dumps(sample().tree))


def read_back(outcome: Outcome) -> Any:
    """Without what is of this folder."""
    found = json.loads(outcome.out)
    assert found["folder"].startswith(str(outcome.folder))
    return {key: value for key, value in found.items() if key not in ("folder", "evaluations")}


def _unknown(folder: Path, random: Random) -> Call:
    """A key of a later version."""
    return sample().call(folder, json.dumps(m.with_unknown(sample().tree, (), random)))


_REFUSED, _ACCEPTED, _EITHER = garbage_runs.later(sample)
REFUSED: dict[str, Make] = {**_REFUSED, "type": _type, "number": _number}

# -- the list, from which a damaged run is left out -----------------------------------------------------------


def _listing(call: Call, left_out: bool = True) -> Call:
    words = ["runs", "ls", "--runs", "runs", "--json"]
    return replace(call, words=words, expects=["b"] if left_out else ["a", "b"])


def _left_out(make: Make) -> Make:
    return lambda folder, random: _listing(make(folder, random))


def _inner(folder: Path, random: Random) -> Call:
    """The recipe's part of the file may hold anything: the run is listed without it."""
    tree = sample().tree
    places = [("settings", "method"), ("settings", "seed"), ("settings", "tracking"), ("settings", "environment")]
    places += [("settings", "tracking", key) for key in ("group", "note", "tags")]
    at = random.choice(places)
    return _listing(sample().call(folder, json.dumps(m.retyped(tree, at, random))), left_out=False)


def _beside(file: str, content: Callable[[Random], bytes]) -> Make:
    """Another file of the run with anything in it, or something else in its place."""

    def make(folder: Path, random: Random) -> Call:
        call = _lay(folder)
        path = folder / "runs/a" / file
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content(random))
        if random.random() < 0.4:
            call = j.displaced(call, path, random)
        return _listing(call, left_out=False)

    return make


def _report(random: Random) -> bytes:
    number = random.choice((*m.NUMBERS, '"0.5"', "[]", "null", "true", "0.5"))
    text = '{"cells": [{"label": "x", "no_skills": {"success": {"estimate": %s}}, "skills": %s}]}'
    return random.choice(
        (
            (text % (number, random.choice(("{}", "[]", "null")))).encode(),
            m.nested(random).encode(),
            m.nothing(random),
            b'{"cells": {"-1": 3}}',
        )
    )


def _journal(random: Random) -> bytes:
    number = random.choice((*m.NUMBERS, '"0.5"', "[]", "null", "true", m.nested(random)))
    return f'{{"step": 4, "eval/no_skills/success": {number}}}\n'.encode() * random.randint(1, 3)


def _names(outcome: Outcome) -> list[str]:
    found = [run["name"] for run in json.loads(outcome.out)]
    if "a" not in found:
        assert outcome.err.count(b"left out, as run.json is damaged: a\n") == 1
    return found


def _plain_list(folder: Path, random: Random) -> Call:
    return _listing(_lay(folder), left_out=False)


def _denied_is_gone(folder: Path, random: Random) -> Call:
    """Something else in the file's place; what is not there at all is no run, and not told of."""
    call = j.displaced(_lay(folder), folder / "runs/a/run.json", random, frozenset({"missing", "denied"}))
    return _listing(call)


KINDS = (
    Kind("run", plain, REFUSED, {**_ACCEPTED, "unknown": _unknown}, read_back, _EITHER),
    Kind(
        "runs listed",
        _plain_list,
        {},
        {
            **{f"left out, {klass}": _left_out(make) for klass, make in REFUSED.items() if klass != "place"},
            "left out, place": _denied_is_gone,
            "settings": _inner,
            "report": _beside("evaluations/report.json", _report),
            "journal": _beside("metrics.jsonl", _journal),
            "lock": _beside("run.lock", m.nothing),
        },
        _names,
    ),
)
