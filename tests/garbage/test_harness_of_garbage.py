"""The harness finds a refusal that is wrong: of another file, another key, another fault."""

from __future__ import annotations

from pathlib import Path

import pytest
from garbage_places import PLACES
from garbage_put import PUT, of_put
from harness import Call, Case, Kind, Outcome, discover, unrelated

KINDS = discover()
FILES = {
    "alfworld": ("game.tw-pddl", "traj_data.json"),
    "model": ("config.json", "model.safetensors"),
    "parquet": ("train.parquet", "test.parquet"),
    "skills": ("heat.md", "clean.md"),
    "webshop_json": ("items_shuffle.json", "items_ins_v2.json"),
    "index": ("retriever.json", "offsets.npy"),
}
"""Kind → a file that is damaged, and another that is not."""


def complaints(kind: str, klass: str, line: str, call: Call | None = None, damaged: str | None = None) -> list[str]:
    case = Case(KINDS[kind], klass, 0, KINDS[kind].plain, "refused")
    names = frozenset() if damaged is None else frozenset({damaged})
    call = Call([]) if call is None else call
    outcome = Outcome(2, b"", line.encode(), 0.0, Path(), (), 0, call, names)
    return list(unrelated(case, [line], outcome))


@pytest.mark.parametrize(("kind", "klass"), [(kind, klass) for kind in KINDS for klass in KINDS[kind].refused])
def test_a_sentence_that_says_nothing(kind: str, klass: str) -> None:
    """Every class of every kind asks for more than a name and a remedy."""
    call = Call([], put="pipe") if klass == "place" else None
    for file in ("bank", "source/items_x.json", "index/x", "model/x", "x.parquet", "sample.yaml", "the store"):
        for words in ("is fine but we refuse", "is banana", "must be", "is wrong"):
            line = f"error: {file} {words}: whatever"
            assert any("does not say" in one for one in complaints(kind, klass, line, call)), line


@pytest.mark.parametrize("kind", FILES)
def test_another_file_is_named(kind: str) -> None:
    damaged, other = FILES[kind]
    for klass in ("encoding", "cut"):
        if klass in KINDS[kind].refused:
            line = f"error: {kind}/{other} is not UTF-8 at byte 3: save it as UTF-8"
            assert any("names none of" in one for one in complaints(kind, klass, line, damaged=damaged))
            line = line.replace(other, damaged)
            assert not any("names none of" in one for one in complaints(kind, klass, line, damaged=damaged))


@pytest.mark.parametrize("kind", ["recipe", "override", "slurm", "space"])
def test_another_key_is_named(kind: str) -> None:
    call = Call([], about=": rollout.tasks ")
    for klass in ("type", "number"):
        wrong = "error: sample.yaml:3: rollout.group is 0, but must be above 0: correct the override or the value"
        assert any("names none of" in one for one in complaints(kind, klass, wrong, call))
        right = wrong.replace("rollout.group", "rollout.tasks")
        assert complaints(kind, klass, right, call) == []


def test_the_samples_say_which_key(tmp_path: Path) -> None:
    from random import Random

    for kind in ("recipe", "slurm"):
        for klass in ("type", "number"):
            folder = tmp_path / f"{kind}-{klass}"
            folder.mkdir()
            assert KINDS[kind].refused[klass](folder, Random(1)).about


@pytest.mark.parametrize("put", PUT)
def test_what_lies_there_is_said(put: str) -> None:
    """No pipe, device, folder or link in a circle is said to be missing, and none to be another."""
    import re

    said = {
        "folder": "is a folder, not a file",
        "pipe": "is a pipe, not a file",
        "socket": "cannot be read (No such device or address)",
        "device": "is a device, not a file",
        "loop": "cannot be read (Too many levels of symbolic links)",
        "denied": "cannot be read (Permission denied)",
        "missing": "does not exist",
        "dangling link": "does not exist",
        "long name": "cannot be read (File name too long)",
        "long path": "cannot be read (File name too long)",
        "below a file": "does not exist",
    }
    assert set(said) == set(PUT) == {*PLACES, "denied"}
    for kind in [kind for kind in KINDS if "place" in KINDS[kind].refused and kind != "study"]:
        wanted = of_put(kind, put)
        for other, words in said.items():
            line = f"error: {kind} {words}: restore it"
            assert bool(re.search(wanted, line)) == (words == said[put]), (kind, put, other)


def test_a_place_says_what_was_put() -> None:
    with pytest.raises(AssertionError, match="does not say what it put there"):
        complaints("recipe", "place", "error: sample.yaml does not exist: check the path")


def test_two_kinds_of_damage_are_refused_for_one() -> None:
    for kind, klass, line in (
        ("skills", "mixed", "error: bank/sub/heat.md is not UTF-8 at byte 3: save it as UTF-8"),
        ("webshop_json", "mixed", "error: source/items_shuffle.json is not UTF-8 at its start: restore the file"),
    ):
        if klass in KINDS[kind].refused:
            assert complaints(kind, klass, line) == []


def test_kinds_have_names(tmp_path: Path) -> None:
    """No pattern of a kind matches a sentence about nothing of its own."""
    kind: Kind
    for kind in KINDS.values():
        if kind.refused:
            klass = next(iter(kind.refused))
            call = Call([], put="pipe")
            found = complaints(kind.name, klass, "error: banana is not UTF-8 at byte 3: save it", call)
            assert any("does not name" in one for one in found), kind.name
