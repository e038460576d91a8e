"""The official games over the network: from a server of this process, whole or cut, and archives that are traps."""

from __future__ import annotations

import errno
import io
import json
import os
import stat
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sdar_cli.cli.main import main
from sdar_cli.errors import EnvironmentSetupError
from sdar_envs.alfworld import archives, download
from sdar_envs.alfworld.archives import unpack
from sdar_envs.alfworld.official import tasks

TRIAL = "json_2.1.1/train/mine/trial"


def packed(members: dict[str, bytes], change: Callable[[zipfile.ZipInfo], Any] | None = None) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            member = zipfile.ZipInfo(name)
            member.compress_type = zipfile.ZIP_DEFLATED
            if change is not None:
                change(member)
            archive.writestr(member, content)
    return out.getvalue()


class Server(ThreadingHTTPServer):
    """Serves ``contents`` by path, from where it is asked to if ``spans``; of a path in ``cut``, only so many bytes of
    the first answer."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.contents: dict[str, bytes] = {}
        self.cut: dict[str, int] = {}
        self.spans = True
        self.asked: list[tuple[str, str | None]] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        content, span = self.server.contents.get(self.path), self.headers.get("range")
        self.server.asked.append((self.path, span))
        if content is None:
            self.send_error(404)
            return
        start = int(span.removeprefix("bytes=").rstrip("-")) if span and self.server.spans else 0
        if start and start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start:][: self.server.cut.pop(self.path, len(content))])

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    found = Server()
    thread = threading.Thread(target=found.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setattr(download, "RELEASES", f"http://127.0.0.1:{found.server_address[1]}")
    found.contents = {
        f"/{download.ARCHIVES[0]}": packed(
            {f"{TRIAL}/traj_data.json": json.dumps({"task_type": "pick_and_place_simple"}).encode()}
        ),
        f"/{download.ARCHIVES[1]}": packed(
            {
                f"{TRIAL}/game.tw-pddl": json.dumps({"solvable": True}).encode(),
                f"{TRIAL}/noise": os.urandom(50_000),
                "other/x": b"",
            }
        ),
    }
    yield found
    found.shutdown()
    thread.join()
    found.server_close()


@contextmanager
def quiet(what: str) -> Iterator[Callable[[int, int], None]]:
    yield lambda done, total: None


def everything(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_games_are_fetched_whole(server: Server, tmp_path: Path) -> None:
    data = tmp_path / "new" / "data"
    download.fetch(data, quiet)
    assert everything(data) == [f"{TRIAL}/{name}" for name in ("game.tw-pddl", "noise", "traj_data.json")]
    assert [task.task_type for task in tasks(str(data), "train")] == ["pick_and_place_simple"]
    assert [path.name for path in data.iterdir()] == ["json_2.1.1"]
    download.fetch(data, quiet)  # over what is there


def test_folders_may_be_links_to_another_disk(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The games' folder, and one below it, each on a disk of its own, between which nothing can be renamed."""
    disks = [tmp_path / "data", tmp_path / "games", tmp_path / "train"]
    for folder in disks:
        folder.mkdir()
    (disks[0] / "json_2.1.1").symlink_to(disks[1])
    (disks[1] / "train").symlink_to(disks[2])

    def disk(path: Path) -> Path:
        return next(disk for disk in disks if path.resolve().is_relative_to(disk))

    real = os.replace

    def replace(source: Path, target: Path) -> None:
        if disk(Path(source).parent) != disk(Path(target).parent):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    for _ in range(2):  # the second over what is there
        download.fetch(disks[0], quiet)
        assert everything(disks[2]) == [f"mine/trial/{name}" for name in ("game.tw-pddl", "noise", "traj_data.json")]
        assert [path.name for path in disks[0].iterdir()] == ["json_2.1.1"]
        assert [path.name for path in disks[1].iterdir()] == ["train"]
    assert (disks[0] / "json_2.1.1").is_symlink() and (disks[1] / "train").is_symlink()
    monkeypatch.setattr(archives.shutil, "copyfile", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    with pytest.raises(EnvironmentSetupError, match="cannot be written"):
        download.fetch(disks[0], quiet)
    assert len(everything(disks[2])) == 3, "what was there is whole"


def test_a_link_to_nothing_is_a_sentence(server: Server, tmp_path: Path) -> None:
    (tmp_path / "json_2.1.1").symlink_to(tmp_path / "unmounted" / "games")
    with pytest.raises(EnvironmentSetupError, match="is a link to nothing: remove it"):
        download.fetch(tmp_path, quiet)
    assert [path.name for path in tmp_path.iterdir()] == ["json_2.1.1"] and not server.asked


def test_a_cut_download_goes_on_where_it_was(server: Server, tmp_path: Path) -> None:
    path = f"/{download.ARCHIVES[1]}"
    server.cut[path] = 20_000
    with pytest.raises(EnvironmentSetupError, match=r"cannot be fetched .*: check .* it goes on where"):
        download.fetch(tmp_path / "data", quiet)
    assert [file.name for file in (tmp_path / "data").iterdir()] == [".fetching"], "nothing that looks whole"
    server.asked.clear()
    download.fetch(tmp_path / "data", quiet)
    ((asked, span),) = server.asked
    assert asked == path and span is not None and 0 < int(span.removeprefix("bytes=").rstrip("-")) <= 20_000
    assert len(everything(tmp_path / "data")) == 3


def test_a_server_that_starts_again_is_followed(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers a wish for the rest with the whole, which is not put behind what is there."""
    path = f"/{download.ARCHIVES[1]}"
    server.cut[path], server.spans = 20_000, False
    with pytest.raises(EnvironmentSetupError, match="cannot be fetched"):
        download.fetch(tmp_path / "data", quiet)
    unpacked: list[bytes] = []
    monkeypatch.setattr(
        download, "unpack", lambda file, *more: (unpacked.append(file.read_bytes()), unpack(file, *more))
    )
    download.fetch(tmp_path / "data", quiet)
    assert server.asked[-1][1] is not None and unpacked[-1] == server.contents[path]
    assert len(everything(tmp_path / "data")) == 3


def test_what_was_whole_before_a_kill_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    """The archive had come to its end, and not yet to its name: the server has no more of it."""
    scratch = tmp_path / "data" / download.SCRATCH
    scratch.mkdir(parents=True)
    for path in download.ARCHIVES:
        content = server.contents[f"/{path}"]
        (scratch / f"{path.rpartition('/')[2]}.part").write_bytes(content)
    server.contents = {path: content[:-1] + b"?" for path, content in server.contents.items()}  # what nobody may take
    download.fetch(tmp_path / "data", quiet)
    assert [span for _, span in server.asked] == [f"bytes={len(content)}-" for content in server.contents.values()]
    assert len(everything(tmp_path / "data")) == 3


def test_a_refused_archive_leaves_nothing(server: Server, tmp_path: Path) -> None:
    doubled = packed({TRIAL: b"", f"{TRIAL}/a": b""})
    for content in (b"", b"PK\x03\x04 no", packed({"a": b"x"}), packed({"../a": b"x"}), doubled):
        server.contents[f"/{download.ARCHIVES[1]}"] = content
        with pytest.raises(EnvironmentSetupError, match=r"^the archive json_2\.1\.2_tw-pddl\.zip .*: get it again"):
            download.fetch(tmp_path / "new" / "data", quiet)
        assert list(tmp_path.iterdir()) == []


def test_the_command_says_what_went_wrong(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server.contents.clear()
    assert main(["data", "alfworld", "--fetch", "--data", str(tmp_path / "data")]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "error: json_2.1.1_json.zip cannot be fetched (status 404, HTTPStatusError): check" in captured.err
    assert everything(tmp_path) == ["data/.fetching/json_2.1.1_json.zip.part"], "what the next call goes on with"


def linked(member: zipfile.ZipInfo) -> None:
    member.external_attr = (stat.S_IFLNK | 0o777) << 16


TRAPS: dict[str, tuple[bytes, str]] = {
    "up and out": (packed({"a/../../x": b""}), "would leave the folder"),
    "absolute": (packed({"/etc/x": b""}), "would leave the folder"),
    "of another system": (packed({"..\\x": b""}), "would leave the folder"),
    "of a drive": (packed({"C:x": b""}), "would leave the folder"),
    "a link": (packed({"a": b"/etc/passwd"}, linked), "is a link or a device"),
    "escapes": (packed({"a\x1b[2J": b""}), "no name for a file"),
    "long": (packed({"a" * 300: b""}), "no name for a file"),
    "deep": (packed({"a/" * 40 + "b": b""}), "no name for a file"),
    "twice": (packed({"a": b"", "./a": b""}), "holds a name twice"),
    "a file as a folder": (packed({"a": b"", "a/b": b""}), "holds a name twice"),
    "a bomb": (packed({"a": b"\0" * (8 << 20)}), "unpacks to 8,388,608 bytes"),
    "no archive": (b"x" * 100, "is no whole archive"),
    "cut": (packed({"a": os.urandom(1000)})[:-30], "is no whole archive"),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_traps(trap: str, tmp_path: Path) -> None:
    content, complaint = TRAPS[trap]
    archive = tmp_path / "archive.zip"
    archive.write_bytes(content)
    (tmp_path / "inner").mkdir()
    with pytest.raises(EnvironmentSetupError, match=complaint) as caught:
        unpack(archive, tmp_path / "inner")
    assert str(caught.value).isprintable()
    assert list((tmp_path / "inner").iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive.zip", "inner"]


def test_damaged_members(tmp_path: Path) -> None:
    """A byte changed anywhere: a sentence, or what it held."""
    content = bytearray(packed({"a/b": b"hello " * 50, "c": os.urandom(200)}))
    for place in range(0, len(content), 3):
        content[place] ^= 0x55
        (tmp_path / "x.zip").write_bytes(content)
        inner = tmp_path / f"inner{place}"
        inner.mkdir()
        try:
            unpack(tmp_path / "x.zip", inner)
        except EnvironmentSetupError as error:
            assert str(error).isprintable()
        content[place] ^= 0x55


def test_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.zip").write_bytes(packed({str(number): b"" for number in range(20)}))
    monkeypatch.setattr(archives, "MOST_FILES", 10)
    with pytest.raises(EnvironmentSetupError, match="holds more than 10 files"):
        unpack(tmp_path / "x.zip", tmp_path)
