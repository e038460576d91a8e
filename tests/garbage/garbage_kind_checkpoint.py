"""Checkpoints: their own state, which ``sdar skills retrieve --run`` reads, and the manifest that vouches for all of
one, by which ``sdar export`` takes it."""

from __future__ import annotations

import atexit
import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any
from unittest import mock

import garbage_json as j
import garbage_runs
import mutations as m
from harness import Call, Kind, Outcome

STEP = Path("runs/a/checkpoints/step-3")
ARM = ("retriever", "skills")


@cache
def made() -> Path:
    """A run whose skills are chosen by a bandit, and its checkpoint."""
    from sdar_cli.environments import build_environment
    from sdar_cli.evaluation.files import write_json
    from sdar_cli.recipe.load import load_recipe
    from sdar_cli.runs.store import RunFolder
    from sdar_cli.skills import bank_for, make_retriever

    root = Path(tempfile.mkdtemp(prefix="garbage-checkpoint-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    resolved = load_recipe("quickstart", overrides=["skills.retrieval=ucb", "skills.top_k=2"])
    recipe = resolved.recipe
    retriever = make_retriever(bank_for(recipe.skills, build_environment(recipe.environment)), recipe.skills, 0)
    run = RunFolder.create(root, resolved, "a")
    with run.saving_checkpoint(3) as folder:
        state = {"step": 3, "retriever": retriever.state(), "memory": {}, "processes": 1, "dist": "ddp"}
        write_json(folder / "sdar.json", json.loads(json.dumps(state)))
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_bytes(b"x" * 400)
    return root


def _lay(folder: Path) -> Call:
    """With the mark of before there were manifests, which vouches for nothing."""
    shutil.copytree(made(), folder / "runs")
    (folder / STEP / "manifest.json").unlink()
    (folder / STEP / "complete").touch()
    return Call(["skills", "retrieve", "wash the mug", "--run", "a", "--runs", "runs", "--json"])


@cache
def sample() -> j.JsonSample:
    tree = json.loads((made() / "a/checkpoints/step-3/sdar.json").read_bytes())
    arms = tree["retriever"]["skills"]
    inner = [(*ARM, name, key) for name in list(arms)[:3] for key in arms[name]]
    top = [("retriever",), ("retriever", "groups"), ARM, *inner]
    return j.JsonSample(
        tree=tree,
        lay=_lay,
        file=str(STEP / "sdar.json"),
        most=64 << 20,
        texts=[("dist",), *inner],
        strict=top,
        required=top,
        keyed=top,
        sections=[ARM, inner[0][:-1]],
        doubles=[*top, ("step",), ("dist",)],
    )


def _type(folder: Path, random: Random) -> Call:
    at = random.choice(sample().strict)
    others = m.other_types(m.get(sample().tree, at))
    if at[-1] == "utility":
        others = [one for one in others if type(one) is not int] + [7]
    if at[-1] == "groups":
        others = [*(one for one in others if type(one) is not int), -1]
    return sample().call(folder, json.dumps(m.put(sample().tree, at, random.choice(others))))


def plain(folder: Path, random: Random) -> Call:
    return _lay(folder)


def read_back(outcome: Outcome) -> Any:
    return json.loads(outcome.out)


# -- the manifest ---------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _exporting() -> Iterator[None]:
    """Of an export, what finds and checks its checkpoint."""
    from sdar_cli.export.source import find_source

    def export(target: Any, *, checkpoint: str, **more: Any) -> Any:
        source = find_source(target, checkpoint)
        told = {"step": source.step, "checkpoint": source.checkpoint, "adapter": source.adapter}
        return SimpleNamespace(source=source, folder="out", load={}, to_json=lambda: told)

    with mock.patch("sdar_cli.export.export.export_run", export):
        yield


def _vouched(folder: Path) -> Call:
    shutil.copytree(made(), folder / "runs")
    words = ["export", "a", "--checkpoint", "3", "--to", "out", "--runs", "runs", "--json"]
    return Call(words, within=_exporting)


@cache
def manifest() -> j.JsonSample:
    tree = json.loads((made() / "a/checkpoints/step-3/manifest.json").read_bytes())
    entries = [("files", name, key) for name in tree["files"] for key in ("bytes", "sha256")]
    top = [("format",), ("files",), *entries]
    return j.JsonSample(
        tree=tree,
        lay=_vouched,
        file=str(STEP / "manifest.json"),
        most=16 << 20,
        texts=[("files", "sdar.json", "sha256")],
        strict=top,
        required=top,
        keyed=top,
        doubles=[*top, *(("files", name) for name in tree["files"])],
    )


def _edited(folder: Path, random: Random) -> Call:
    """A file that is not as it was written: of another content, longer, shorter, gone, or something else."""
    call = _vouched(folder)
    path = folder / STEP / random.choice(("sdar.json", "config.json", "model.safetensors"))
    data = path.read_bytes()
    changed = bytearray(data)
    changed[random.randrange(len(data))] ^= 1 << random.randrange(8)
    what = random.choice((bytes(changed), data[:-1], data + b"\n", b"", None))
    if what is None:
        return j.displaced(call, path, random)
    path.write_bytes(what)
    return call


def _escape(folder: Path, random: Random) -> Call:
    """Names that lead out of the folder."""
    name = random.choice(("../x", "/etc/hostname", "a/../../x", "", "a\x00b"))
    tree = manifest().tree
    entry = tree["files"]["sdar.json"]
    return manifest().call(folder, json.dumps({**tree, "files": {**tree["files"], name: entry}}))


def _plain_manifest(folder: Path, random: Random) -> Call:
    return _vouched(folder)


def _more(folder: Path, random: Random) -> Call:
    """Files that the manifest does not name."""
    call = _vouched(folder)
    (folder / STEP / random.choice(("notes.txt", ".cache", "größer"))).write_bytes(b"mine")
    return replace(call, outputs=())


_REFUSED, _ACCEPTED, _EITHER = garbage_runs.later(sample, "unknown")
_REFUSED_MANIFEST, _ACCEPTED_MANIFEST, _EITHER_MANIFEST = garbage_runs.later(manifest)
KINDS = (
    Kind(
        "checkpoint",
        plain,
        {**_REFUSED, "type": _type},
        _ACCEPTED,
        read_back,
        _EITHER,
        talk=r"the run a .*|the model .*",
    ),
    Kind(
        "manifest",
        _plain_manifest,
        {**_REFUSED_MANIFEST, "edited": _edited, "escape": _escape},
        {**_ACCEPTED_MANIFEST, "more": _more},
        read_back,
        _EITHER_MANIFEST,
    ),
)
