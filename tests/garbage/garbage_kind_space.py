"""What a study varies: a file for ``--space``, and words of the command line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import garbage_yaml as y
from harness import Call, Kind, Make, Outcome

SMALL = ("evaluation.tasks=4", "environment.options.things=8", "environment.options.places=4", "rollout.tasks=2")
TREE: dict[str, Any] = {
    "space": {"gate.beta": [1.0, 5.0], "policy.kl_coef": "0.5, 0.25", "train.steps": 9},
    "search": "grid",
    "seeds": [3, 7],
    "metric": "success",
    "sampler_seed": 5,
    "note": "größer, 日本語 🦊",
}
SWEEP = ("sweep", "--recipe", "quickstart", "--dry-run", "--json")
SAMPLE = y.YamlSample(
    tree=lambda random: TREE,
    words=lambda name: [*SWEEP, "--space", name, "--", *SMALL],
    strict=[("space",), ("search",), ("metric",), ("sampler_seed",), ("note",), ("seeds", 0)],
    nullable=[("search",), ("metric",), ("sampler_seed",), ("note",)],
    whole=[("sampler_seed",), ("seeds", 0)],
    required=[("space",)],
    keyed=[(key,) for key in TREE],
    sections=[()],
    texts=[("note",)],
)
WORDS = ("gate.beta=1,5", "policy.kl_coef=0.5,0.25", "train.steps=9")


def plain(folder: Path, random: Random) -> Call:
    return SAMPLE.call(folder, y.block(TREE))


def read_back(outcome: Outcome) -> Any:
    """All but what is named by the time of day; the order of axes, and so of cells, is the file's."""
    found = {key: value for key, value in json.loads(outcome.out).items() if key not in ("study", "command")}
    cells = sorted(json.dumps(cell["params"], sort_keys=True) for cell in found["cells"])
    return {**found, "axes": sorted(found["axes"]), "cells": cells}


def _axis(values: Sequence[Any], folder: Path, random: Random) -> Call:
    """An axis in the file that is none."""
    space = {**TREE["space"], **random.choice(values)}
    return SAMPLE.call(folder, y.block({**TREE, "space": space}), about="")


AXES: dict[str, Sequence[Any]] = {
    "number": (
        *({"gate.beta": value} for value in ("0..1e308/1e-300", "-1e308..1e308", "0..1e999", "log:0..1", "5..1")),
        *(
            {"gate.beta": value}
            for value in ("1..2/0", "1..2/5", "int:1.5..3", "int:0..1e17", "1..5", [1.0, float("nan")])
        ),
        *(
            {"gate.beta": value}
            for value in ([1, 1.0], [True, "x"], "int:0..9007199254740991", "0..1/1e-15", ["x", "y"])
        ),
    ),
    "escape": (
        *({key: [1, 2]} for key in ("seed", "name", "extends", "tracking.note", "gate.zzz", "zzz", "gate beta", "a=b")),
        *(
            {key: [1, 2]}
            for key in ("gate.temperature", "gate", "gate.beta.x", ".", "..", "日本", "x" * 190, "gate..beta")
        ),
    ),
    "empty": (
        {"gate.beta": []},
        {"gate.beta": "1,,2"},
        {"gate.beta": ",1"},
        {"method": ["sdar", "zzz"]},
        {"gate.beta": [None, 1]},
    ),
    "bomb": (
        {"gate.beta": list(range(1001))},
        {"gate.beta": list(range(900)), "policy.kl_coef": [n / 900 for n in range(900)]},
    ),
}
WRONG = {
    "number": (
        "gate.beta=0..1e308/1e-300",
        "gate.beta=log:0..1",
        "gate.beta=5..1",
        "gate.beta=1..5",
        "gate.beta=int:1..1e400",
    ),
    "size": (
        "gate.beta=" + "1," * 40_000 + "2",
        "description=" + "x" * 70_000,
        "gate.beta=" + "," * 2000,
        "x" * 100_000 + "=1,2",
    ),
    "surrogate": ('description="\\ud800",x', "gate.beta=\udcff,1", "\udcff=1,2", "description=\ud800"),
    "control": ("gate.b\x1beta=1,2", "gate.beta=1,\x00", 'description="\\e",x', "gate.beta\u2028=1,\x9b"),
    "unknown": ("zzz=1,2", "gate.zzz=1,2", "stauts", "quickstart", "seed=1,2", "🦊"),
    "duplicate": (
        "gate.beta=1,1",
        "gate.beta=1,1.0",
        "gate.beta=1,+1",
        "description=a,'a'",
        "gate={beta: 1, beta: 2},{}",
    ),
    "code": ("description=!!python/name:os.system,x", "description=!x 1,2"),
    "depth": (
        "description=" + "[" * 3000 + "]" * 3000 + ",1",
        "a." * 300 + "a=1,2",
        "description=[1,2],{a: " + "[" * 30 + "]" * 30 + "}",
    ),
}


def _word(words: Sequence[str], folder: Path, random: Random) -> Call:
    return Call([*SWEEP, "--", *SMALL, random.choice(words)], sentences=3, about="")


def _either_way(klass: str, makes: Sequence[Make], folder: Path, random: Random) -> Call:
    return random.choice(makes)(folder, random)


def _refused() -> dict[str, Make]:
    found: dict[str, list[Make]] = {klass: [make] for klass, make in y.refused(SAMPLE).items()}
    for klass, values in AXES.items():
        found.setdefault(klass, []).append(partial(_axis, values))
    for klass, words in WRONG.items():
        found.setdefault(klass, []).append(partial(_word, words))
    return {klass: partial(_either_way, klass, makes) for klass, makes in found.items()}


KIND = Kind("space", plain, _refused(), y.spellings(SAMPLE), read_back, y.either(SAMPLE))
