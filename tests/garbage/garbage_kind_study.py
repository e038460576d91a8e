"""Studies on disk: ``study.json`` and Optuna's journal beside it, as ``sdar sweep status`` reads them."""

from __future__ import annotations

import atexit
import json
import shutil
import sys
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "sweep"))

import garbage_json as j
import garbage_runs
import mutations as m
from garbage_places import sparse
from harness import Call, Kind, Outcome

FOLDER = Path("runs/studies/study")
SPEC = ("name", "recipe", "layers", "recipe_yaml", "axes", "search", "cells", "settings", "seeds")


@cache
def made() -> Path:
    """A study of two cells and two seeds: one run done, one failed, two that nobody has begun."""
    from scripted_study import done, failed
    from study_tools import spec_of

    from sdar_cli.sweep.store import StudyStore

    root = Path(tempfile.mkdtemp(prefix="garbage-study-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    store = StudyStore.create(spec_of(words=("distill.coef=0.1,0.2",), seeds="2"), root)
    done(store, 0, 0, 0.5, evaluations=[[50, 0.25, 25.0]])
    failed(store, 0, 1, "größer, 日本語")
    done(store, 1, 0, 0.75)
    return root


def _lay(folder: Path) -> Call:
    shutil.copytree(made(), folder / "runs")
    lock = str(FOLDER / ".journal.log.lock")
    return Call(["sweep", "status", "study", "--runs", "runs", "--json"], outputs=(lock,))


@cache
def sample() -> j.JsonSample:
    tree = json.loads((made() / "studies/study/study.json").read_bytes())
    inner = [("spec", key) for key in SPEC]
    return j.JsonSample(
        tree=tree,
        lay=_lay,
        file=str(FOLDER / "study.json"),
        most=64 << 20,
        texts=[("spec", "name"), ("spec", "recipe"), ("spec", "note"), ("spec", "axes", 0, "key")],
        strict=[("format",), ("created",), ("spec",), *inner],
        numbers=[("created",), ("spec", "cells"), ("spec", "seeds", 0), ("spec", "sampler_seed"), ("format",)],
        required=[("format",), ("created",), ("storage",), ("spec",), *inner],
        keyed=[("format",), ("created",), ("storage",), ("spec",), *inner],
        sections=[("spec",)],
        doubles=[("created",), ("spec",), ("spec", "name"), ("spec", "axes", 0, "key")],
    )


def _type(folder: Path, random: Random) -> Call:
    at = random.choice(sample().strict)
    others = m.other_types(m.get(sample().tree, at))
    if at == ("created",):
        others = [one for one in others if type(one) not in (int, float)]
    return sample().call(folder, json.dumps(m.put(sample().tree, at, random.choice(others))))


def _edited(folder: Path, random: Random) -> Call:
    """Parts that do not fit one another."""
    spec = sample().tree["spec"]
    axis = spec["axes"][0]
    wrong = random.choice(
        (
            {"cells": random.choice((1, 3, 0, -2, 10**15))},
            {"settings": random.choice((None, [], spec["settings"] * 2, [{"zzz": 1}, {"zzz": 2}]))},
            {"seeds": random.choice(([], [0, 0], [-1]))},
            {"axes": [{**axis, "choices": random.choice((None, []))}]},
            {"axes": [axis, axis]},
            {"search": "tpe"},
            {"name": random.choice(("", "../x", "a b", "x" * 200, "other"))},
            {"recipe_yaml": random.choice(("", "[", "7", "a: &a [*a]", "name: [1]", "x: " + "[" * 1000, "\ufffe"))},
        )
    )
    return sample().call(folder, json.dumps({**sample().tree, "spec": {**spec, **wrong}}))


def plain(folder: Path, random: Random) -> Call:
    return _lay(folder)


def read_back(outcome: Outcome) -> Any:
    return {key: value for key, value in json.loads(outcome.out).items() if key != "folder"}


# -- the journal ----------------------------------------------------------------------------------------------


@cache
def _lines() -> tuple[bytes, ...]:
    return tuple((made() / "studies/study/journal.log").read_bytes().splitlines())


def _journal(folder: Path, lines: list[bytes]) -> Call:
    call = _lay(folder)
    (folder / FOLDER / "journal.log").write_bytes(b"\n".join(lines) + b"\n")
    return call


def _attributes(key: str) -> list[int]:
    return [place for place, line in enumerate(_lines()) if f'"{key}"'.encode() in line]


def _value(folder: Path, random: Random) -> Call:
    """An attribute of another kind, under a journal that Optuna reads."""
    lines = list(_lines())
    key = random.choice(("cell", "seed", "worker", "pid", "birth", "from_step", "started", "token", "params"))
    place = random.choice([at for at in _attributes(key) if key in json.loads(lines[at]).get("user_attrs", ())])
    entry = json.loads(lines[place])
    told = entry["user_attrs"]
    if random.random() < 0.3:
        del told[key]
    else:
        others = m.other_types(told[key])
        if isinstance(told[key], dict | float):
            others = [one for one in others if type(one) not in (int, dict)]
        told[key] = random.choice(others)
    lines[place] = json.dumps(entry).encode()
    return _journal(folder, lines)


def _result(folder: Path, random: Random) -> Call:
    """The result of a run that is done, with something in it that is none."""
    lines = list(_lines())
    place = random.choice([at for at in _attributes("result done") if b"success" in lines[at]])
    entry = json.loads(lines[place])
    result = entry["user_attr"]["result done"]
    key = random.choice(("success", "success_skills", "score", "score_skills", "evaluations", "collapsed"))
    if key in ("success", "score") and random.random() < 0.5:
        raw = random.choice(m.NUMBERS[:-1])
        lines[place] = m.spliced(entry, ("user_attr", "result done", key), raw).encode()
        return _journal(folder, lines)
    others = [one for one in m.other_types(result[key]) if type(one) is not int and one != []]
    result[key] = random.choice(others)
    lines[place] = json.dumps(entry).encode()
    return _journal(folder, lines)


def _broken(folder: Path, random: Random) -> Call:
    """Lines that Optuna does not know what to do with."""
    lines = list(_lines())
    wrong = random.choice(
        (
            *(b"{", b"[]", b"null", b"7", b'"x"', b"\xff", b"{}", b'{"op_code": 99}', b'{"op_code": "x"}'),
            *(b'{"op_code": 4}', b'{"op_code": 5, "study_id": 77}', b'{"op_code": %s}' % m.NUMBERS[0].encode()),
            b"[" * 100_000,
        )
    )
    lines.insert(random.randrange(len(lines)), wrong)
    return _journal(folder, lines)


def _lost(folder: Path, random: Random) -> Call:
    """Without the lines that make the studies."""
    return _journal(folder, list(_lines())[random.randint(1, 2) :] if random.random() < 0.5 else [])


def _journal_place(folder: Path, random: Random) -> Call:
    call = _lay(folder)
    return j.displaced(call, folder / FOLDER / "journal.log", random, frozenset({"denied"}))


def _zeros(folder: Path, random: Random) -> Call:
    call = _lay(folder)
    sparse(folder / FOLDER / "journal.log", 64 << 30)
    return call


def _blind(folder: Path, random: Random) -> Call:
    data = b"\n".join(_lines()) + b"\n"
    call = _lay(folder)
    (folder / FOLDER / "journal.log").write_bytes(m.flip(data, random))
    return replace(call, outputs=(*call.outputs, str(FOLDER / "journal.log")))


def _torn(folder: Path, random: Random) -> Call:
    """Half a line at the end, as a kill leaves it; the next writer cuts it off."""
    call = _lay(folder)
    journal = folder / FOLDER / "journal.log"
    journal.write_bytes(journal.read_bytes() + random.choice(_lines())[: random.randint(1, 12)])
    return replace(call, outputs=(*call.outputs, str(FOLDER / "journal.log")))


def _beats(folder: Path, random: Random) -> Call:
    """Signs of life of attempts that nobody makes any more, whatever is in them."""
    call = _lay(folder)
    beat = folder / FOLDER / "beats" / random.choice(("0", "1", "77"))
    beat.write_bytes(random.choice((b"x", b"", b"9" * 5000, b"\xff")))
    if random.random() < 0.5:
        j.displaced(call, beat, random, frozenset({"denied"}))
    return call


_REFUSED, _ACCEPTED, _EITHER = garbage_runs.later(sample, "unknown")
KINDS = (
    Kind(
        "study",
        plain,
        {**_REFUSED, "type": _type, "edited": _edited},
        _ACCEPTED,
        read_back,
        _EITHER,
    ),
    Kind(
        "study's journal",
        plain,
        {"type": _value, "number": _result, "code": _broken, "missing": _lost, "place": _journal_place, "size": _zeros},
        {"torn": _torn, "beats": _beats},
        read_back,
        {"flip": _blind},
    ),
)
