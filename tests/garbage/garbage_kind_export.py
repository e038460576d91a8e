"""The record of an export, by which ``sdar export --force`` knows what it may remove; weights are not written here."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator
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

from sdar_cli.export import place

FILES = {"README.md": b"card", "evaluations/base.json": b"{}", "größer.txt": b"x" * 50}


class _Exported:
    def __init__(self, folder: Path, recipe: Any) -> None:
        self.folder, self.source = folder, SimpleNamespace(recipe=recipe)
        self.load: dict[str, str] = {}

    def to_json(self) -> dict[str, Any]:
        return {"there": garbage_runs.spread(self.folder), "beside": sorted(one.name for one in Path.cwd().iterdir())}


def _export(target: Any, *, to: Path, force: bool, **more: Any) -> _Exported:
    """Of ``export_run``, what has to do with the folder."""
    folder = to.resolve()
    place.check_place(folder, force)
    with place.whole(folder) as beside:
        (beside / "new").write_bytes(b"new")
    return _Exported(folder, target.recipe())


@contextlib.contextmanager
def _exporting() -> Iterator[None]:
    with mock.patch("sdar_cli.export.export.export_run", _export):
        yield


def _lay(folder: Path) -> Call:
    runs = garbage_runs.lay(folder)
    shutil.copy(_recipe(), runs / "a" / "recipe.yaml")
    (folder / "victim").write_bytes(b"mine")
    for name, content in FILES.items():
        (folder / "out" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "out" / name).write_bytes(content)
    record = {"format": place.FORMAT, "run": "a", "files": place.marks(folder / "out")}
    (folder / "out" / place.RECORD).write_text(json.dumps(record))
    words = ["export", "a", "--to", "out", "--force", "--runs", "runs", "--json"]
    return Call(words, outputs=("out",), within=_exporting)


@cache
def _recipe() -> Path:
    from sdar_cli.recipe.dump import dump
    from sdar_cli.recipe.load import load_recipe

    file = garbage_runs.made() / "recipe.yaml"
    file.write_text(dump(load_recipe("quickstart").recipe), encoding="utf-8")
    return file


@cache
def sample() -> j.JsonSample:
    with tempfile.TemporaryDirectory() as folder:
        _lay(Path(folder))
        tree = json.loads((Path(folder) / "out" / place.RECORD).read_bytes())
    files = [("files", name) for name in tree["files"]]
    return j.JsonSample(
        tree=tree,
        lay=_lay,
        file=f"out/{place.RECORD}",
        most=place.LARGEST,
        texts=[("run",), *files],
        strict=[("format",), ("files",), *files],
        required=[("format",), ("files",), *files],
        keyed=[("format",), ("files",), *files],
        doubles=[("run",), ("format",), *files],
    )


def _edited(folder: Path, random: Random) -> Call:
    """Files that are not as they were written, or that the export did not write."""
    call = _lay(folder)
    out = folder / "out"
    what = random.choice(("changed", "new", "link", "folder", "within"))
    if what == "changed":
        (out / random.choice(list(FILES))).write_bytes(b"changed")
    elif what == "new":
        (out / random.choice((".git", "mine.txt", "evaluations.json"))).write_bytes(b"mine")
    elif what == "within":
        (out / "evaluations" / "mine.json").write_bytes(b"mine")
    else:
        path = out / random.choice(list(FILES))
        path.unlink()
        path.symlink_to("../victim") if what == "link" else path.mkdir()
    return call


def _escape(folder: Path, random: Random) -> Call:
    """Names that lead out of the folder: what they name would be removed."""
    name = random.choice(
        ("../victim", "evaluations/../../victim", str(folder / "victim"), "..", ".", "", "./README.md", "//x", "a//b")
    )
    tree = sample().tree
    return sample().call(folder, json.dumps({**tree, "files": {**tree["files"], name: random.choice(("x", "folder"))}}))


def plain(folder: Path, random: Random) -> Call:
    return _lay(folder)


def read_back(outcome: Outcome) -> Any:
    found = json.loads(outcome.out)
    assert (outcome.folder / "victim").read_bytes() == b"mine"
    return found["there"], [name for name in found["beside"] if not name.endswith(".kept")]


def _gone(folder: Path, random: Random) -> Call:
    """A file of the export that is there no more, or an empty folder."""
    call = _lay(folder)
    (folder / "out" / random.choice(list(FILES))).unlink()
    return call


def _unknown(folder: Path, random: Random) -> Call:
    return sample().call(folder, json.dumps(m.with_unknown(sample().tree, (), random)))


_REFUSED, _ACCEPTED, _EITHER = garbage_runs.later(sample)
ACCEPTED = {name: make for name, make in _ACCEPTED.items() if name != "link"}
KIND = Kind(
    "export",
    plain,
    {**_REFUSED, "edited": _edited, "escape": _escape},
    {**ACCEPTED, "gone": _gone, "unknown": _unknown},
    read_back,
    _EITHER,
    talk=r"writing .*",
)
