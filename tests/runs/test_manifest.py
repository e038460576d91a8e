"""What a manifest finds: anything that is cut, changed, missing or odd, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdar_cli.runs.manifest import MANIFEST, damage, is_marked, write_manifest

FILES = {
    "model.safetensors": (18).to_bytes(8, "little") + b'{"__metadata__":{}' + b"}",
    "config.json": b'{"a": 1}\n',
    "training/moments.safetensors": bytes(range(200)),
    "empty": b"",
}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as place:
        for name, content in FILES.items():
            path = Path(place, "step-3", name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        write_manifest(path.parent)
        yield path.parent


def test_it_holds_every_file_once(folder: Path) -> None:
    told = json.loads((folder / MANIFEST).read_text())
    assert told["format"] == 1 and {name: entry["bytes"] for name, entry in told["files"].items()} == {
        name: len(content) for name, content in FILES.items()
    }
    assert is_marked(folder) and damage(folder, deep=True) is None and damage(folder, deep=False) is None


@given(st.sampled_from(sorted(name for name in FILES if FILES[name])), st.data())
def test_any_cut_or_flipped_byte_is_found(folder: Path, name: str, data: st.DataObject) -> None:
    path, content = folder / name, bytearray(FILES[name])
    place = data.draw(st.integers(0, len(content) - 1))
    try:
        if data.draw(st.booleans()):
            path.write_bytes(content[:place])
            assert damage(folder, deep=False) == f"has {name} with {place} of {len(content)} bytes"
        else:
            content[place] ^= 1 << data.draw(st.integers(0, 7))
            path.write_bytes(content)
            assert damage(folder, deep=True) == f"has other content in {name} than was written"
            assert damage(folder, deep=False) is None, "by their sizes"
    finally:
        path.write_bytes(FILES[name])


@given(st.data())
def test_a_damaged_manifest_is_never_a_traceback(folder: Path, data: st.DataObject) -> None:
    path = folder / MANIFEST
    before = path.read_bytes()
    content = bytearray(before)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    try:
        path.write_bytes(content[:cut] if data.draw(st.booleans()) else content)
        found = damage(folder, deep=True)
        assert found is None or found.startswith(("has ", "lacks "))
        assert "\n" not in (found or "")
    finally:
        path.write_bytes(before)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ("[" * 90_000, "has a damaged manifest.json (it is nested deeper than 64 levels)"),
        ("[]", "has a damaged manifest.json (it has no files)"),
        ("{}", "has a damaged manifest.json (it has no files)"),
        ({"format": 2, "files": {}}, "has a damaged manifest.json (it is not of format 1)"),
        ({"format": 1, "files": ["a"]}, "has a damaged manifest.json (it has no files)"),
        ({"format": 1, "files": {"a": 3}}, "has a damaged manifest.json (it has no size of a)"),
        ({"format": 1, "files": {"a": {"bytes": True, "sha256": "0" * 64}}}, "(it has no size of a)"),
        ({"format": 1, "files": {"a": {"bytes": 1, "sha256": "A" * 64}}}, "(it has no SHA-256 of a)"),
        (
            {"format": 1, "files": {"../a": {"bytes": 1, "sha256": "0" * 64}}},
            "(it names ../a, which cannot be a file in the folder)",
        ),
        (
            {"format": 1, "files": {"/etc/passwd": {"bytes": 1, "sha256": "0" * 64}}},
            "(it names /etc/passwd, which cannot be",
        ),
        ({"format": 1, "files": {"a\u202eb": {"bytes": 1, "sha256": "0" * 64}}}, "lacks a⟨U+202E⟩b"),
        ({"format": 1, "files": {"x" * 5000: {"bytes": 1, "sha256": "0" * 64}}}, "cannot be read"),
        ({"format": 1, "files": {"link": {"bytes": 1, "sha256": "0" * 64}}}, "lacks link"),
        ({"format": 1, "files": {"pipe": {"bytes": 0, "sha256": "0" * 64}}}, "lacks pipe"),
    ],
)
def test_what_nobody_wrote_is_said(tmp_path: Path, told: object, words: str) -> None:
    (tmp_path / "one").write_text("1")
    (tmp_path / "link").symlink_to(tmp_path / "one")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / MANIFEST).write_text(told if isinstance(told, str) else json.dumps(told))
    assert words in damage(tmp_path, deep=True)


def test_a_missing_file_is_found(folder: Path, tmp_path: Path) -> None:
    for name in FILES:
        copy = Path(shutil.copytree(folder, tmp_path / name.replace("/", "-")))
        (copy / name).unlink()
        assert damage(copy, deep=False) == f"lacks {name}"
    (copy / MANIFEST).unlink()
    assert damage(copy, deep=False) == "has no manifest.json, as its writing was cut short" and not is_marked(copy)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """As checkpoints were before there were manifests."""
    header = json.dumps({"w": {"dtype": "U8", "shape": [5], "data_offsets": [0, 5]}, "__metadata__": {"a": "b"}})
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header.encode() + b"12345")
    (tmp_path / "trainer_state.json").write_text('{"log_history": [{"loss": NaN}]}')
    (tmp_path / "complete").write_text("3\n")
    with zipfile.ZipFile(tmp_path / "optimizer.pt", "w") as archive:
        archive.writestr("data.pkl", b"pickled" * 9)
    return tmp_path


def test_an_old_checkpoint_is_taken(old: Path) -> None:
    assert is_marked(old) and damage(old, deep=True) is None and damage(old, deep=False) is None


@pytest.mark.parametrize("name", ["model.safetensors", "trainer_state.json", "optimizer.pt"])
def test_an_old_checkpoint_that_was_cut_is_found(old: Path, name: str) -> None:
    content = (old / name).read_bytes()
    for length in (0, 1, 9, len(content) // 2, len(content) - 1):
        (old / name).write_bytes(content[:length])
        assert damage(old, deep=True) == f"has a damaged {name}"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.safetensors", (2**63).to_bytes(8, "little") + b"{}"),
        ("model.safetensors", (2).to_bytes(8, "little") + b"[]"),
        ("model.safetensors", (9).to_bytes(8, "little") + b'{"a": []}'),
        ("model.safetensors", (20000).to_bytes(8, "little") + b"[" * 20000),
        ("trainer_state.json", b"[" * 100_000),
        ("trainer_state.json", b"\xff\xfe"),
        ("optimizer.pt", b"\x80\x04."),
    ],
)
def test_an_old_checkpoint_that_is_no_such_thing_is_found(old: Path, name: str, content: bytes) -> None:
    (old / name).write_bytes(content)
    assert damage(old, deep=True) == f"has a damaged {name}"
