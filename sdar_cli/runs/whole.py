"""Folders that are whole or absent: written beside, put on the disk, sealed by a manifest and moved into place."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sdar_cli.runs.disk import sync_folder, sync_tree
from sdar_cli.runs.manifest import damage, write_manifest

TORN = ".torn-"
"""Before the name of a folder that was found damaged; it is kept, and nobody reads it."""
_TAKEN = {errno.ENOTEMPTY, errno.EEXIST}


@contextmanager
def whole_folder(final: Path, *, sealed: bool = True) -> Iterator[Path]:
    """A fresh folder beside ``final``, which becomes it when the block ends well and is removed when it does not.

    A whole folder is never written over: where one is in the place already, what the block wrote is given up.

    Args:
        sealed: with a manifest; nobody can tell later whether a folder without one is whole.
    """
    beside = final.with_name(f".{final.name}-{os.getpid()}")
    try:
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        yield beside
        seal(beside) if sealed else sync_tree(beside)
        put_in_place(beside, final)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def seal(folder: Path) -> None:
    """Put all that a folder holds on the disk, and then the manifest that says so."""
    sync_tree(folder)
    write_manifest(folder)
    sync_folder(folder)


def put_in_place(sealed: Path, final: Path) -> bool:
    """Move a sealed folder to its name; False where a whole one has it, also one that another process put there."""
    while True:
        if os.path.lexists(final):
            if damage(final, deep=True) is None:
                return False
            set_aside(final)
        try:
            os.rename(sealed, final)
        except OSError as error:
            if error.errno not in _TAKEN:
                raise
            continue
        sync_folder(final.parent)
        return True


def set_aside(torn: Path) -> Path:
    """Give a damaged folder a name that nobody reads; it is not deleted. Returns its new place."""
    number, place = 1, torn.with_name(f"{TORN}{torn.name}")
    while os.path.lexists(place):
        number += 1
        place = torn.with_name(f"{TORN}{torn.name}-{number}")
    os.rename(torn, place)
    sync_folder(torn.parent)
    return place


def remove_whole(folder: Path) -> None:
    """Delete a folder so that nobody ever sees half of it under its name."""
    aside = folder.with_name(f".{folder.name}-removed-{os.getpid()}")
    shutil.rmtree(aside, ignore_errors=True)
    os.rename(folder, aside)
    sync_folder(folder.parent)
    shutil.rmtree(aside, ignore_errors=True)
