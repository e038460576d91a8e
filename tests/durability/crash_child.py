"""A piece of work that ends at its k-th call of the system: killed, without power, by Ctrl-C or on a full disk.

The work is done in a fork of this process, in which every call that changes a disk is counted. Half of what is
written at the call before is on the disk then. Where power is lost, so is what was not flushed: files are empty, or as
long as they were before something was added, and names of files and folders are as they were when their folder was
flushed last.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sdar_cli.errors import RunFailed

WAYS = ("kill", "power", "ctrl-c", "ctrl-c again", "full disk")
"""How the work ends; the last two: at every call from the k-th one on."""
KILLED, INTERRUPTED, FULL, FAILED = 9, 7, 5, 3
FREES = ("unlink", "remove", "rmdir", "chmod", "ftruncate")
"""Calls that a full disk allows."""
WRITES = ("write", "pwrite", "sendfile", "ftruncate")
SYNCS = ("fsync", "fdatasync")
COUNTED = (*WRITES, *SYNCS, "open", "rename", "replace", "unlink", "remove", "rmdir", "mkdir", "chmod")


def crash(work: Callable[[], object], at: int, way: str, root: Path) -> bool:
    """Do the work up to its call number ``at``; True where it came to its end before."""
    child = os.fork()
    if not child:
        _do(work, at, way, root)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, KILLED, INTERRUPTED, FULL), f"the work failed at call {at} ({way}): code {code}"
    return code == 0


def _do(work: Callable[[], object], at: int, way: str, root: Path) -> None:
    code = FAILED
    try:
        disk = _Disk(at, way, root)
        disk.watch()
        try:
            work()
            code = 0
        except KeyboardInterrupt:
            code = INTERRUPTED
        except RunFailed as error:
            assert way == "full disk" and "as the disk is full: free some space there" in str(error)
            code = FULL
        finally:
            disk.over = True
            if way == "power":
                disk.lose()
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


class _Disk:
    def __init__(self, at: int, way: str, root: Path) -> None:
        self.at, self.way, self.root = at, way, root
        self.calls = self.count = 0
        self.over = False
        self.written: set[tuple[int, int]] = set()
        self.flushed: dict[tuple[int, int], int] = {}
        """Bytes at a file's beginning that stay: they were flushed, and only what is behind them was written since."""
        self.names: list[tuple[Path, Path | None, Path]] = []
        """New names, each with the one before it and what it replaced, in folders that were not flushed since."""
        self.backups = Path(tempfile.mkdtemp(dir=root.parent))

    def watch(self) -> None:
        self.real = {name: getattr(os, name) for name in COUNTED}
        for name in COUNTED:
            setattr(os, name, self._counted(name))
        self.real_open = io.open
        io.open = builtins.open = self._open
        self.real_fdopen = os.fdopen
        os.fdopen = lambda fd, *args, **kwargs: _Written(self.real_fdopen(fd, *args, **kwargs), self)

    def hit(self, name: str = "write") -> None:
        if self.over:
            return
        self.calls += 1
        if self.way == "full disk":
            if self.calls >= self.at and name not in FREES:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return
        if self.calls == self.at or (self.calls > self.at and self.way == "ctrl-c again"):
            if self.way.startswith("ctrl-c"):
                raise KeyboardInterrupt
            self.over = True
            if self.way == "power":
                self.lose()
            os._exit(KILLED)

    def _counted(self, name: str) -> Callable[..., Any]:
        def call(*args, **kwargs):
            reads = name == "open" and not args[1] & (os.O_CREAT | os.O_WRONLY | os.O_RDWR)
            if not reads:
                self.hit(name)
            made = name in ("open", "mkdir") and not os.path.lexists(_path(args[0], kwargs))
            if name in ("rename", "replace") and _path(args[1], kwargs).is_file():
                os.link(args[1], self.backups / str(self.count + 1))
            result = self.real[name](*args, **kwargs)
            if not reads:
                self._note(name, args, kwargs, result, made)
            return result

        return call

    def _note(self, name: str, args: tuple, kwargs: dict, result: Any, made: bool) -> None:
        if made:
            self._name(_path(args[0], kwargs))
        elif name in ("rename", "replace"):
            self._name(_path(args[1], kwargs), _path(args[0], kwargs))
        elif name in WRITES:
            self.note_written(args[0], args[-1] if name in ("pwrite", "ftruncate") else None)
        elif name in SYNCS:
            told = os.fstat(args[0])
            self.written.discard((told.st_dev, told.st_ino))
            self.flushed[told.st_dev, told.st_ino] = told.st_size
            if stat.S_ISDIR(told.st_mode):
                folder = Path(os.readlink(f"/proc/self/fd/{args[0]}"))
                self.names = [entry for entry in self.names if entry[0].parent != folder]

    def _name(self, new: Path, old: Path | None = None) -> None:
        self.count += 1
        self.names.append((new, old, self.backups / str(self.count)))

    def note_written(self, descriptor: int, start: int | None = None) -> None:
        """``start``: where in the file, if that is known."""
        told = os.fstat(descriptor)
        key = told.st_dev, told.st_ino
        self.written.add(key)
        self.flushed[key] = min(self.flushed.get(key, 0), start or 0)

    def _open(self, file, mode="r", *args, **kwargs):
        if not set(mode) & set("wax+") or isinstance(file, int):
            return self.real_open(file, mode, *args, **kwargs)
        self.hit()
        made = not os.path.lexists(file)
        opened = self.real_open(file, mode, *args, **kwargs)
        if made:
            self._name(Path(os.path.abspath(file)))
        self.note_written(opened.fileno())
        return _Written(opened, self)

    def lose(self) -> None:
        """What the disk never got."""
        for place, _, names in os.walk(self.root):
            for name in names:
                told = os.lstat(Path(place, name))
                if (told.st_dev, told.st_ino) in self.written:
                    os.truncate(Path(place, name), self.flushed[told.st_dev, told.st_ino])
        for new, old, replaced in reversed(self.names):
            if not os.path.lexists(new):
                continue
            if old is not None:
                if not os.path.lexists(old) and old.parent.is_dir():
                    self.real["rename"](new, old)
                    if replaced.exists():
                        self.real["rename"](replaced, new)
            elif new.is_dir():
                shutil.rmtree(new, ignore_errors=True)
            else:
                self.real["unlink"](new)


class _Written:
    """A file of which half a write may be on the disk."""

    def __init__(self, file: Any, disk: _Disk) -> None:
        self._file, self._disk = file, disk

    def write(self, content):
        self._disk.hit()
        half = len(content) // 2
        self._file.write(content[:half])
        self._file.flush()
        self._disk.note_written(self._file.fileno())
        self._disk.hit()
        self._file.write(content[half:])
        return len(content)

    def __enter__(self):
        self._file.__enter__()
        return self

    def __exit__(self, *error):
        return self._file.__exit__(*error)

    def __iter__(self):
        return iter(self._file)

    def __getattr__(self, name):
        return getattr(self._file, name)


def _path(path: Any, kwargs: dict) -> Path:
    if isinstance(path, int):
        return Path(os.readlink(f"/proc/self/fd/{path}"))
    folder = kwargs.get("dir_fd")
    return Path(os.readlink(f"/proc/self/fd/{folder}") if folder is not None else os.getcwd(), os.fspath(path))
