"""What may lie at a path beside the file that a reader hopes for."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock


def odd_place(path: Path, random: Random) -> tuple[str, Path]:
    """Something at the path that is no file, and ends no reader's patience: what it is, and the path to name, which
    may be another."""
    name, put = random.choice(list(PLACES.items()))
    return name, put(path)


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def _pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def _socket(path: Path) -> Path:
    """The path must be short: relative to the working folder."""
    short = Path(os.path.relpath(path))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(short))
    return path


def _device(path: Path) -> Path:
    path.symlink_to("/dev/zero")
    return path


def _dangling(path: Path) -> Path:
    path.symlink_to("nowhere")
    return path


def _loop(path: Path) -> Path:
    path.symlink_to(path.name)
    return path


def _missing(path: Path) -> Path:
    return path


def _below_a_file(path: Path) -> Path:
    path.write_bytes(b"x")
    return path / "below"


def _long_name(path: Path) -> Path:
    return path.with_name("n" * 256 + path.suffix)


def _long_path(path: Path) -> Path:
    return path.parent / "/".join(["d" * 200] * 25) / path.name


PLACES: dict[str, Callable[[Path], Path]] = {
    "folder": _folder,
    "pipe": _pipe,
    "socket": _socket,
    "device": _device,
    "dangling link": _dangling,
    "loop": _loop,
    "missing": _missing,
    "below a file": _below_a_file,
    "long name": _long_name,
    "long path": _long_path,
}


def sparse(path: Path, size: int) -> None:
    """A file of that many zero bytes that takes no room."""
    with path.open("wb") as file:
        file.truncate(size)


@contextlib.contextmanager
def denied(path: Path) -> Iterator[None]:
    """Opening the file fails for want of permission (tests run as root, who has it)."""
    real = os.open
    wanted = os.path.realpath(path)

    def refuse(name: Any, *rest: Any, **more: Any) -> int:
        if isinstance(name, str | bytes | os.PathLike) and os.path.realpath(os.fsdecode(name)) == wanted:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fsdecode(name))
        return real(name, *rest, **more)

    with mock.patch("os.open", refuse):
        yield
