"""The index on disk: the same however it was built, whole or not there, and damage is noticed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from sdar_cli.errors import EnvironmentSetupError
from sdar_envs.bm25 import Index, building
from sdar_envs.bm25.format import FILES, MANIFEST

TEXTS = [f"word{number % 7} word{number % 3} other{number} the" * (number % 4) for number in range(40)]


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_runs_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Index.build(tmp_path / "one", TEXTS)
    for postings in (1, 10, 33):
        monkeypatch.setattr(building, "RUN_POSTINGS", postings)
        Index.build(tmp_path / f"many-{postings}", iter(TEXTS))
        assert content(tmp_path / f"many-{postings}") == content(tmp_path / "one")
    assert set(content(tmp_path / "one")) == {MANIFEST, *FILES}


def test_progress_ends_with_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "REPORT_EVERY", 16)
    told: list[tuple[int, int]] = []
    Index.build(tmp_path / "index", TEXTS, lambda done, total: told.append((done, total)))
    assert told == [(16, 40), (32, 40), (40, 40)]


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    def texts() -> Iterator[str]:
        yield "wool"
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError, match="the source broke"):
        Index.build(tmp_path / "index", texts())
    assert list(tmp_path.iterdir()) == []


def test_an_index_is_never_written_over(tmp_path: Path) -> None:
    Index.build(tmp_path / "index", TEXTS)
    before = content(tmp_path / "index")
    with pytest.raises(EnvironmentSetupError, match="is there already: remove it"):
        Index.build(tmp_path / "index", ["other"])
    assert content(tmp_path / "index") == before
    assert [file.name for file in tmp_path.iterdir()] == ["index"]


@pytest.mark.parametrize(("k1", "b"), [(0.0, 0.4), (-1.0, 0.4), (0.9, 1.1), (0.9, -0.1), (float("nan"), 0.4)])
def test_parameters_out_of_range(k1: float, b: float, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="BM25 needs k1 > 0 and b from 0 to 1"):
        Index.build(tmp_path / "index", TEXTS, k1=k1, b=b)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentSetupError, match=r"cannot be written \(.*\): free space there, or name another"):
        Index.build(tmp_path / "file" / "index", TEXTS)


def manifest_changed(**changes: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        file = folder / MANIFEST
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    return change


def moved_out(file: Path) -> None:
    target = file.rename(file.parents[1] / "elsewhere")
    file.symlink_to(target)


OPENING_DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (lambda folder: folder.rename(folder.with_name("away")), "there is no whole index in"),
    "no manifest": (lambda folder: (folder / MANIFEST).unlink(), "there is no whole index in"),
    "no postings": (lambda folder: (folder / "documents.npy").unlink(), "there is no whole index in"),
    "short postings": (lambda folder: (folder / "divisors.npy").write_bytes(b"\x93NUMPY"), "is not as long as"),
    "cut manifest": (lambda folder: (folder / MANIFEST).write_text('{"format": 1'), "is damaged"),
    "not a mapping": (lambda folder: (folder / MANIFEST).write_text("[]"), "is damaged"),
    "manifest in bytes": (lambda folder: (folder / MANIFEST).write_bytes(b"\xff"), "is damaged"),
    "another format": (manifest_changed(format=99), "another format"),
    "unknown key": (manifest_changed(extra=1), "is damaged"),
    "deep manifest": (lambda folder: (folder / MANIFEST).write_text("[" * 100_000), "is damaged"),
    "a pipe": (lambda folder: ((folder / MANIFEST).unlink(), os.mkfifo(folder / MANIFEST)), "is damaged"),
    "terms without end": (manifest_changed(terms=10**30), "is damaged"),
    "too many terms": (manifest_changed(terms=10**12), "is damaged"),
    "documents below none": (manifest_changed(documents=-1), "is damaged"),
    "a truth for a count": (manifest_changed(postings=True), "is damaged"),
    "no files": (manifest_changed(files={}), "is damaged"),
    "k1 of text": (manifest_changed(k1="x"), "is damaged"),
    "a link out": (lambda folder: moved_out(folder / "terms.bin"), "there is no whole index in"),
}


@pytest.mark.parametrize("damage", OPENING_DAMAGE)
def test_what_is_not_whole_does_not_open(damage: str, tmp_path: Path) -> None:
    change, complaint = OPENING_DAMAGE[damage]
    Index.build(tmp_path / "index", TEXTS)
    Index.open(tmp_path / "index")
    change(tmp_path / "index")
    with pytest.raises(EnvironmentSetupError, match=complaint) as caught:
        Index.open(tmp_path / "index")
    assert str(caught.value).endswith("build the index again")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", FILES)
def test_a_changed_bit_is_found_by_check(name: str, tmp_path: Path) -> None:
    Index.build(tmp_path / "index", TEXTS)
    Index.open(tmp_path / "index").check()
    data = bytearray((tmp_path / "index" / name).read_bytes())
    data[-1] ^= 1
    (tmp_path / "index" / name).write_bytes(data)
    with pytest.raises(EnvironmentSetupError, match=f"{name} has changed since it was written|do not go together"):
        Index.open(tmp_path / "index").check()


def test_numbers_that_contradict_each_other_end_a_search_in_a_sentence(tmp_path: Path) -> None:
    """Postings of documents that are not there, and places of postings that are none; hashes are for ``check``."""
    for name, values in (("documents.npy", [10**6]), ("starts.npy", [10**6]), ("starts.npy", [-5])):
        folder = tmp_path / f"{name}{values[0]}"
        Index.build(folder, TEXTS)
        array = np.load(folder / name)
        array[:-1] = values[0]
        np.save(folder / name, array)
        index = Index.open(folder)
        try:
            index.search(" ".join(TEXTS), 5)
        except EnvironmentSetupError as error:
            assert "is damaged (a search fails: " in str(error) and "\n" not in str(error)
