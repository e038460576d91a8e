"""Removing folders so that nobody ever sees half of one: moved aside in one step, then deleted."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

from sdar_cli.errors import RunError

TRASH = ".removed"
"""Folder of the runs folder where what is being deleted lies; nothing lists what is in it."""


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder, or of the file; links count as themselves, 0 where nothing is."""
    if not folder.is_dir() or folder.is_symlink():
        return folder.lstat().st_size if os.path.lexists(folder) else 0
    total = 0
    for entry in os.scandir(folder):
        try:
            path = Path(entry.path)
            total += size_of(path) if entry.is_dir(follow_symlinks=False) else entry.stat(follow_symlinks=False).st_size
        except FileNotFoundError:
            continue
    return total


def set_aside(folder: Path, root: Path) -> Path:
    """Move a folder into the trash; from then on it is gone for everyone.

    Raises:
        RunError: it cannot be moved.
    """
    trash = root / TRASH
    target = trash / f"{folder.name}-{secrets.token_hex(4)}"
    try:
        trash.mkdir(exist_ok=True)
        os.replace(folder, target)
    except OSError as error:
        raise RunError(f"{folder} cannot be removed ({error.strerror}): make its folder writable") from None
    return target


def empty(root: Path) -> None:
    """Delete what lies in the trash, also what a killed process left there."""
    shutil.rmtree(root / TRASH, ignore_errors=True)
