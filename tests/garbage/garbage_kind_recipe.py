"""Recipes of others: the file of ``--recipe``, what it extends, and overlays."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import garbage_yaml as y
import mutations as m
from harness import Call, Kind, Outcome

TREE: dict[str, Any] = {
    "name": "sample",
    "description": "Größer, 日本語, 🦊 and 'quotes': a # sample",
    "seed": 3,
    "model": {"tiny": {"layers": 2, "width": 32, "heads": 4, "mlp": 64}, "template_kwargs": {"enable_thinking": False}},
    "environment": {"name": "household", "workers": 2, "timeout": 30.5},
    "rollout": {"history": 1, "tasks": 4, "group": 8, "max_turns": 6, "sampling": {"temperature": 0.75, "top_p": 1.0}},
    "gate": {"beta": 5.0},
    "policy": {"dual_clip": None},
    "optimiser": {"learning_rate": 1e-3, "weight_decay": 0.0},
    "evaluation": {"split": "test", "tasks": 8},
    "warmup": {"demonstrations": 40, "batch": 4, "required_success": 0.5},
    "engine": {"threads": 1},
    "tracking": {"note": "as it is", "tags": {"team.name": "ours"}},
}
WHOLE: list[m.Keys] = [
    ("rollout", "tasks"),
    ("rollout", "max_turns"),
    ("model", "tiny", "layers"),
    ("evaluation", "tasks"),
    ("warmup", "batch"),
    ("seed",),
]
STRICT: list[m.Keys] = [
    *WHOLE,
    ("name",),
    ("description",),
    ("environment",),
    ("environment", "name"),
    ("environment", "workers"),
    ("environment", "timeout"),
    ("rollout",),
    ("rollout", "sampling"),
    ("rollout", "sampling", "temperature"),
    ("gate", "beta"),
    ("optimiser", "learning_rate"),
    ("evaluation", "split"),
    ("tracking", "note"),
    ("tracking", "tags", "team.name"),
]
COMMON: dict[str, Any] = {
    "tree": lambda random: TREE,
    "strict": [at for at in STRICT if at != ("environment",)],
    "whole": WHOLE,
    "keyed": [at for at in STRICT if len(at) > 1 and at[0] != "tracking"],
    "sections": [("model",), ("model", "tiny"), ("environment",), ("rollout", "sampling"), ("gate",), ("warmup",)],
    "texts": [("description",), ("tracking", "note")],
    "required": [("environment",), ("environment", "name"), ("model",), ("model", "tiny"), ("warmup",)],
}
ALONE = y.YamlSample(words=lambda name: ["recipes", "show", name, "--json"], **COMMON)
BASE = y.YamlSample(
    words=lambda name: ["recipes", "show", "child.yaml", "--json"],
    lay=lambda folder: (folder / "child.yaml").write_text("extends: sample.yaml\nname: sample\n") and None,
    **COMMON,
)
OVERLAY = y.YamlSample(
    words=lambda name: ["train", "--recipe", "quickstart", "-c", name, "--dry-run", "--json"],
    **{**COMMON, "strict": [at for at in COMMON["strict"] if at[0] != "model"]},
)
PARENTS = (
    *("..", ".", "/", "../sample.yaml", "/dev/zero", "~nobody/x.yaml", "~\\0x.yaml", "~\\ud800", "nowhere.yaml", "\\0"),
    *("sample.yaml", "./sample.yaml", "../work/sample.yaml", "quickstart\\n", "\\u2028", "a\\nb.yaml", "pipe.yaml"),
    *("quick\\x1b[2Jstart", "n" * 300 + ".yaml", "https://example.org/a.yaml", "quickstart.yaml", "base/nothing", " "),
)


def plain(folder: Path, random: Random) -> Call:
    return ALONE.call(folder, y.block(TREE))


def read_back(outcome: Outcome) -> Any:
    return json.loads(outcome.out)["recipe"]


def escape(folder: Path, random: Random) -> Call:
    """Bases that no recipe has."""
    (folder / "pipe.yaml").exists() or os.mkfifo(folder / "pipe.yaml")
    return ALONE.call(folder, f'extends: "{random.choice(PARENTS)}"\n{y.block(TREE)}')


def _either_way(klass: str, folder: Path, random: Random) -> Call:
    """In the recipe, in what it extends, or in an overlay."""
    samples = [ALONE, BASE, OVERLAY] if klass not in ("missing", "place") else [ALONE]
    return y.refused(random.choice(samples))[klass](folder, random)


KIND = Kind(
    "recipe",
    plain,
    {**{klass: partial(_either_way, klass) for klass in y.refused(ALONE)}, "escape": escape},
    y.spellings(ALONE),
    read_back,
    y.either(ALONE),
)
