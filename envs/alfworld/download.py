"""The official games from where they are published, without anything else that the package's own script brings.

What is needed stands in two archives: the games, and what ALFRED recorded of each (task type and annotations). Both
are fetched and unpacked in a folder beside their place, ``<data>/.fetching`` (in the folder that the games' own is a
link to, where it is one: there is the room), and moved when both are whole; a download that was cut goes on where it
was.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from sdar_cli.errors import EnvironmentSetupError
from sdar_cli.placing import parents_made
from sdar_cli.reading import size
from sdar_envs.alfworld.archives import merge, unpack
from sdar_envs.alfworld.official import GAMES_FOLDER

RELEASES = "https://github.com/alfworld/alfworld/releases/download"
ARCHIVES = ("0.2.2/json_2.1.1_json.zip", "0.4.0/json_2.1.2_tw-pddl.zip")
LARGEST_ARCHIVE = 4 << 30
SCRATCH = ".fetching"
PATIENCE = 60.0
"""Seconds without a byte."""

Progress = Callable[[int, int], None]
Bar = Callable[[str], AbstractContextManager[Progress]]


def fetch(folder: Path, bar: Bar) -> None:
    """Put the official games into ``folder``, over what is there.

    Raises:
        EnvironmentSetupError: the network or the disk fails (what was fetched is kept), or an archive is not what it
            should be (it is removed).
    """
    games = folder / GAMES_FOLDER
    if games.is_symlink() and not games.is_dir():
        raise EnvironmentSetupError(f"{games} is a link to nothing: remove it")
    scratch = (games.resolve() if games.is_symlink() else folder) / SCRATCH
    try:
        with parents_made(scratch):
            if scratch.is_symlink():
                raise EnvironmentSetupError(f"{scratch} is a link: remove it")
            scratch.mkdir(exist_ok=True)
            _fetch(folder, scratch, bar)
    except OSError as error:
        raise EnvironmentSetupError(
            f"the games cannot be written to {folder} ({error.strerror or error}): make room there or name another "
            "folder with --data"
        ) from error


def _fetch(folder: Path, scratch: Path, bar: Bar) -> None:
    whole = scratch / "whole"
    shutil.rmtree(whole, ignore_errors=True)
    whole.mkdir()
    for path in ARCHIVES:
        archive = scratch / path.rpartition("/")[2]
        with bar(f"fetching {archive.name}, MiB") as progress:
            _download(
                f"{RELEASES}/{path}", archive, lambda done, total, report=progress: report(done >> 20, total >> 20)
            )
        try:
            with bar(f"unpacking {archive.name}") as progress:
                part = scratch / "part"
                shutil.rmtree(part, ignore_errors=True)
                part.mkdir()
                unpack(archive, part, progress)
            if not (part / GAMES_FOLDER).is_dir():
                raise EnvironmentSetupError(
                    f"the archive {archive.name} holds no {GAMES_FOLDER}: get it again from where it is published"
                )
            merge(part / GAMES_FOLDER, whole / GAMES_FOLDER)
        except EnvironmentSetupError:
            shutil.rmtree(scratch)
            raise
    merge(whole / GAMES_FOLDER, folder / GAMES_FOLDER)
    shutil.rmtree(scratch)


def _download(url: str, archive: Path, progress: Progress) -> None:
    """Fetch an archive, unless it is there; a part of it goes by ``.part``, and grows."""
    import httpx

    if archive.is_file() and not archive.is_symlink():
        return
    part = archive.with_name(f"{archive.name}.part")
    try:
        with part.open("ab") as out:
            done = out.tell()
            headers = {"Range": f"bytes={done}-"} if done else {}
            with httpx.stream("GET", url, headers=headers, follow_redirects=True, timeout=PATIENCE) as answer:
                if answer.status_code == 416:  # all of it is there
                    answer.read()
                else:
                    answer.raise_for_status()
                    _receive(answer, out, archive, progress)
            out.flush()
            os.fsync(out.fileno())
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        what = f"{_status(error)}{type(error).__name__}"
        raise EnvironmentSetupError(
            f"{archive.name} cannot be fetched ({what}): check the network and run the command again, it goes on where "
            "it was; or copy a folder that holds json_2.1.1 here and name it with --data"
        ) from None
    os.replace(part, archive)


def _receive(answer: Any, out: Any, archive: Path, progress: Progress) -> None:
    if answer.status_code != 206:  # from its beginning
        out.truncate(0)
    done = out.seek(0, os.SEEK_END)
    length = answer.headers.get("content-length", "")
    total = done + (int(length) if length.isascii() and length.isdigit() and len(length) < 16 else 0)
    said = time.monotonic()
    for piece in answer.iter_bytes():
        out.write(piece)
        done += len(piece)
        if done > LARGEST_ARCHIVE:
            out.truncate(0)
            raise EnvironmentSetupError(
                f"{archive.name} is larger than {size(LARGEST_ARCHIVE)}: get it from where it is published"
            )
        if time.monotonic() > said + 0.1:
            said = time.monotonic()
            progress(done, max(done, total))


def _status(error: Exception) -> str:
    response = getattr(error, "response", None)
    return "" if response is None else f"status {response.status_code}, "
