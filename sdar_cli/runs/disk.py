"""Writing to a disk that may be full, broken or gone: what the system says becomes a sentence, and what was written
is put on the disk before anybody is told of it."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sdar_cli.errors import RunError, RunFailed

_REASONS = {
    errno.ENOSPC: ("the disk is full", "free some space there"),
    errno.EDQUOT: ("the quota is used up", "free some space there, or have the quota raised"),
    errno.EFBIG: ("the system allows no file that large", "raise the limit, which `ulimit -f` shows"),
    errno.EIO: ("the disk reports an error", "have it looked at, or use another"),
    errno.EROFS: ("the file system is read-only", "have it mounted for writing"),
    errno.ESTALE: ("the file server lost the folder", "have it mounted anew"),
    errno.EACCES: ("writing is not permitted there", "make the folder writable"),
    errno.EPERM: ("writing is not permitted there", "make the folder writable"),
}
_FORBIDDEN = {errno.EACCES, errno.EPERM}
_GO_ON = ", and go on with `sdar resume`"
_UNSUPPORTED = {errno.EINVAL, errno.ENOTSUP, errno.EBADF}
"""What some network file systems answer where a folder is to be flushed: they do it on their own."""
_NUMBER = "_sdar_errno"
_ERRNO = re.compile(r"\[Errno (\d+)\]")
_OS_ERROR = re.compile(r"\(os error (\d+)\)")
_TORCH_WRITER = re.compile(r"PytorchStreamWriter failed|inline_container\.cc.*unexpected pos|file write failed")


@contextmanager
def disk(folder: Path, what: str, go_on: str = _GO_ON) -> Iterator[None]:
    """Around the writing of something, such as ``the checkpoint of step 5``, into a folder.

    Args:
        go_on: the end of the sentence, behind what is to be done about the disk.

    Raises:
        RunFailed: the disk is full, broken, read-only or away.
        RunError: the user may not write there.
    """
    try:
        yield
    except Exception as error:
        number = error_number(error)
        if number not in _REASONS:
            raise
        reason, remedy = _REASONS[number]
        kind = RunError if number in _FORBIDDEN else RunFailed
        failure = kind(f"{what} cannot be written in {folder}, as {reason}: {remedy}{go_on}")
        setattr(failure, _NUMBER, number)
        raise failure from None


def told_number(error: BaseException) -> int | None:
    """The system's number behind a sentence of ``disk``; None where it is another's."""
    return getattr(error, _NUMBER, None)


def error_number(error: BaseException) -> int | None:
    """The system's number of what went wrong in writing a file, whoever wrote it; None where it is something else.

    Libraries in Rust tell it in their text, as ``(os error 28)``; torch's own writer tells none, and is mostly heard of
    where a disk is full.
    """
    if isinstance(error, shutil.Error):  # of many copies, with the texts of what went wrong
        return int(told[1]) if (told := _ERRNO.search(str(error))) else None
    if isinstance(error, OSError):
        return error.errno
    if isinstance(error, Exception) and (told := _OS_ERROR.search(str(error))):
        return int(told[1])
    if isinstance(error, RuntimeError) and _TORCH_WRITER.search(str(error)):
        return errno.ENOSPC
    return None


def make_folder(path: Path) -> None:
    """The folder and those above it, whose names are on the disk then."""
    missing = [one for one in (path, *path.parents) if not one.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for made in reversed(missing):
        sync_folder(made.parent)


def sync_file(path: Path) -> None:
    """Have the system write a file's content to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Have the system write to the disk which names are in a folder."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    finally:
        os.close(descriptor)


def sync_tree(path: Path) -> None:
    """Every file below a folder, then every folder from the bottom up, the folder itself last."""
    for place, _, names in os.walk(path, topdown=False):
        for name in names:
            file = Path(place, name)
            if file.is_file() and not file.is_symlink():
                sync_file(file)
        sync_folder(Path(place))
