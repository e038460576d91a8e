"""What a call does beside answering: its bytes, its time, its memory, and what it leaves on disk."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import resource
import shutil
import signal
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MEMORY = Path("/dev/shm")
"""Where folders cost no disk's time; what samples hold is tiny, or sparse."""


class Hung(BaseException):
    """A call that did not come back."""


@contextlib.contextmanager
def captured() -> Iterator[tuple[bytearray, bytearray]]:
    """Standard output and error as bytes; standard input is empty."""
    out, err = bytearray(), bytearray()
    kept = sys.stdin, sys.stdout, sys.stderr
    raw = io.BytesIO(), io.BytesIO()
    streams = [io.TextIOWrapper(stream, "utf-8", write_through=True) for stream in raw]
    sys.stdin = io.TextIOWrapper(io.BytesIO(), "utf-8")
    sys.stdout, sys.stderr = streams
    try:
        yield out, err
    finally:
        sys.stdin, sys.stdout, sys.stderr = kept
        for stream, content, target in zip(streams, raw, (out, err), strict=True):
            with contextlib.suppress(ValueError):
                stream.flush()
                target += content.getvalue()


@contextlib.contextmanager
def alarm(seconds: float, patience: float, what: str) -> Iterator[None]:
    """Raises Hung within after so many seconds of the processor, or by the clock."""

    def hung(number: int, frame: Any) -> None:
        used = f"{seconds:g} s of the processor" if number == signal.SIGPROF else f"{patience:g} s"
        raise Hung(f"{what} took more than {used}")

    timers = ((signal.ITIMER_PROF, signal.SIGPROF, seconds), (signal.ITIMER_REAL, signal.SIGALRM, patience))
    kept = [(number, signal.signal(number, hung)) for _, number, _ in timers]
    for timer, _, most in timers:
        signal.setitimer(timer, most)
    try:
        yield
    finally:
        for timer, _, _ in timers:
            signal.setitimer(timer, 0)
        for number, handler in kept:
            signal.signal(number, handler)


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def tree(base: Path) -> dict[str, tuple[Any, ...]]:
    """Every path below with what would show a change: kind, size, time of change, and where a link points."""
    found: dict[str, tuple[Any, ...]] = {}
    waiting = [(os.fsencode(base), "")]
    while waiting:
        folder, prefix = waiting.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                name = prefix + os.fsdecode(entry.name)
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    found[name] = (status.st_mode,)
                    waiting.append((entry.path, f"{name}/"))
                else:
                    link = os.readlink(entry.path) if entry.is_symlink() else None
                    found[name] = (status.st_mode, status.st_size, status.st_mtime_ns, status.st_ino, link)
    return found


def files(folder: Path) -> dict[str, object]:
    """Every file and empty folder below, and what tells it from others."""
    found: dict[str, object] = {}
    for name, told in tree(folder).items():
        mode, size = told[0], told[1] if len(told) > 1 else 0
        path = folder / name
        if len(told) > 1 and stat.S_ISREG(mode) and size < 1 << 22:
            found[name] = path.read_bytes()
        elif not stat.S_ISDIR(mode) or not any(path.iterdir()):
            found[name] = mode, size, told[-1]
    return found


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """A folder with ``work``, where one is then, and ``home``; all is as before afterwards."""
    base = Path(tempfile.mkdtemp(prefix="garbage-", dir=_room()))
    kept = {name: os.environ.get(name) for name in ("HOME", "SDAR_RUNS")}
    before = Path.cwd()
    try:
        for name in ("work", "home"):
            (base / name).mkdir()
        os.chdir(base / "work")
        os.environ["HOME"] = str(base / "home")
        os.environ.pop("SDAR_RUNS", None)
        yield base
    finally:
        os.chdir(before)
        for name, value in kept.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
        shutil.rmtree(base, ignore_errors=True)


@functools.cache
def _room() -> Path | None:
    """The memory's folder where there is one with room, else that of the system."""
    roomy = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > 4 << 30
    return MEMORY if roomy else None
