"""Files of others: whatever lies at a path, reading it ends, and says in words what is wrong."""

from __future__ import annotations

import gzip
import json
import math
import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdar_cli.reading import (
    Missing,
    Outside,
    Unreadable,
    gunzip,
    inside,
    open_inside,
    parse_json,
    read_bytes,
    read_json,
    read_text,
    size,
)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(JSON, st.booleans())
def test_whatever_json_can_say_is_read(value: Any, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert parse_json(text) == value
    assert parse_json(b"\xef\xbb\xbf" + text.encode()) == value


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_bytes_are_a_value_or_a_reason(content: bytes) -> None:
    try:
        json.dumps(parse_json(content), allow_nan=False).encode()
    except Unreadable as error:
        assert str(error) and "\n" not in str(error)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not JSON"),
        ('{"a": 1, "a": 2}', "key 'a' twice"),
        ("[NaN]", "NaN"),
        ("[-Infinity]", "-Infinity"),
        ("1e999", "too large"),
        ("-9223372036854775809", "too large"),
        ("1" * 5000, "thousands of digits"),
        (r'{"\ud800": 1}', "surrogate"),
        (r'["\udfff\ud800"]', "surrogate"),
        ("[" * 65 + "]" * 65, "deeper than 64"),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, "deeper than 64"),
        ("[" * 1_000_000, "deeper than 64"),
    ],
)
def test_json_that_readers_understand_differently_is_refused(text: str, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        parse_json(text)


def test_the_bounds_themselves_are_allowed() -> None:
    assert parse_json("[" * 64 + "]" * 64)
    assert parse_json("[9223372036854775807, -9223372036854775808]") == [2**63 - 1, -(2**63)]
    assert parse_json(r'"\ud83d\ude00"') == "😀"
    assert math.isfinite(parse_json("1e308"))


def test_nothing_that_is_no_file_is_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        cases = {"pipe": "is a pipe", "folder": "is a folder", "socket": "cannot be read"}
        for name, reason in cases.items():
            with pytest.raises(Unreadable, match=reason):
                read_bytes(tmp_path / name, 10)
    with pytest.raises(Unreadable, match="is a device"):
        read_bytes(Path("/dev/zero"), 10)
    for odd in ("no\0name", "x" * 300):
        with pytest.raises(Unreadable):
            read_bytes(tmp_path / odd, 10)
    with pytest.raises(Missing, match="does not exist"):
        read_text(tmp_path / "nothing", 10)


def test_no_more_is_read_than_was_said(tmp_path: Path) -> None:
    (tmp_path / "sparse").write_bytes(b"")
    os.truncate(tmp_path / "sparse", 10 << 30)
    with pytest.raises(Unreadable, match="larger than 64 KiB"):
        read_json(tmp_path / "sparse", 64 << 10)
    (tmp_path / "full").write_bytes(b"1234")
    assert read_bytes(tmp_path / "full", 4) == b"1234"
    with pytest.raises(Unreadable, match="larger than 3 bytes"):
        read_bytes(tmp_path / "full", 3)


@pytest.mark.parametrize("content", [b"\xff", "é".encode("latin-1"), "a".encode("utf-16"), b"\xed\xa0\x80", b"a\0"])
def test_text_is_utf8(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "text").write_bytes(content)
    with pytest.raises(Unreadable, match=r"UTF-8|NUL"):
        read_text(tmp_path / "text", 100)


def test_gzip_is_unpacked_within_a_bound() -> None:
    two = gzip.compress(b"one") + gzip.compress(b"two")
    assert gunzip(two, 6) == b"onetwo"
    with pytest.raises(Unreadable, match="more than 5 bytes"):
        gunzip(two, 5)
    for cut in range(1, len(two)):
        if cut != len(gzip.compress(b"one")):
            with pytest.raises(Unreadable, match=r"cut short|damaged"):
                gunzip(two[:cut], 6)
    bomb = gzip.compress(bytes(1 << 24))
    began = time.process_time()
    with pytest.raises(Unreadable, match="64 KiB"):
        gunzip(bomb, 64 << 10)
    assert time.process_time() - began < 5


def test_gzip_of_many_empty_members_takes_time_by_the_byte() -> None:
    empty = gzip.compress(b"")

    def seconds(count: int) -> float:
        began = time.process_time()
        assert gunzip(empty * count + b"\0" * 512, 10) == b""
        return time.process_time() - began

    seconds(1000)
    assert seconds(40_000) < 4 * seconds(20_000) + 0.2


def test_a_model_hub_s_cache_is_a_folder_too(tmp_path: Path) -> None:
    """Its files are links into the folder of contents beside the snapshots."""
    repository = tmp_path / "datasets--somebody--questions"
    (repository / "blobs").mkdir(parents=True)
    (repository / "blobs" / "0a1b").write_text("{}")
    (repository / "secret").write_text("{}")
    data = repository / "snapshots" / "f00" / "data"
    data.mkdir(parents=True)
    (data / "test.json").symlink_to("../../../blobs/0a1b")
    (data / "other.json").symlink_to("../../../secret")
    for root in (data, data.parent):
        assert inside(data / "test.json", root).name == "0a1b"
        with open_inside(data / "test.json", root) as file:
            assert file.read() == b"{}"
        for look in (inside, open_inside):
            with pytest.raises(Outside, match="leads out"):
                look(data / "other.json", root)


def test_contents_that_are_swapped_for_a_link_are_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs, revision = (tmp_path / "models--a--b" / name for name in ("blobs", "snapshots/f00"))
    for folder in (blobs, revision):
        folder.mkdir(parents=True)
    (blobs / "0a1b").write_text("{}")
    (tmp_path / "secret").write_text("{}")
    (revision / "config.json").symlink_to("../../blobs/0a1b")
    real = os.path.realpath

    def followed(path: Path, **more: Any) -> str:
        try:
            return real(path, **more)
        finally:
            if Path(path).name == "config.json":  # right after the look
                (blobs / "0a1b").unlink()
                (blobs / "0a1b").symlink_to(tmp_path / "secret")

    monkeypatch.setattr(os.path, "realpath", followed)
    with pytest.raises(Unreadable, match="cannot be read"):
        open_inside(revision / "config.json", revision)


@pytest.mark.parametrize("repository", ["vol", "models", "--a--b", "datasets--"])
def test_any_other_folder_of_snapshots_is_no_cache(tmp_path: Path, repository: str) -> None:
    blobs, backup = (tmp_path / repository / name for name in ("blobs", "snapshots/monday"))
    for folder in (blobs, backup):
        folder.mkdir(parents=True)
    (blobs / "0a1b").write_text("{}")
    (backup / "config.json").symlink_to("../../blobs/0a1b")
    for look in (inside, open_inside):
        with pytest.raises(Outside):
            look(backup / "config.json", backup)


def test_a_link_may_not_leave_its_folder(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "file").write_text("x")
    (tmp_path / "secret").write_text("y")
    (tmp_path / "home" / "good").symlink_to("file")
    (tmp_path / "home" / "bad").symlink_to("../secret")
    (tmp_path / "home" / "nowhere").symlink_to("nothing")
    (tmp_path / "home" / "loop").symlink_to("loop")
    (tmp_path / "door").symlink_to("home")
    assert inside(tmp_path / "door" / "good", tmp_path / "door").name == "file"
    for name in ("bad", "nowhere", "loop", "../secret"):
        with pytest.raises(Unreadable):
            inside(tmp_path / "home" / name, tmp_path / "home")
    for name in ("nowhere", "file/below", "n" * 300):
        with pytest.raises(Missing):
            inside(tmp_path / "home" / name, tmp_path / "home")


def test_bounds_in_words() -> None:
    assert [size(count) for count in (1 << 20, 3 << 30, 64 << 10, 1000)] == ["1 MiB", "3 GiB", "64 KiB", "1000 bytes"]
