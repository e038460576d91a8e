"""``manifest.json``: what a folder of ours holds, with size and SHA-256 of each file.

It is written last, and so is the mark of a folder that is whole; what was cut, changed or lost since is found by it::

    {"format": 1, "files": {"model.safetensors": {"bytes": 4096, "sha256": "9f86d0…"}}}

Checkpoints were once marked by an empty file ``complete``; of those, only what files say of themselves is checked.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

from sdar_cli.evaluation.files import write_json
from sdar_cli.reading import Missing, Unreadable, open_regular, read_json
from sdar_cli.runs.old_marker import MARKER, old_damage
from sdar_cli.visible import visible

MANIFEST = "manifest.json"
FORMAT = 1
LARGEST = 16 * 1024**2
"""Bytes of a manifest, which names every file of a folder once."""
READERS = 4
"""Files that are hashed at a time; the hash is computed outside the interpreter's lock."""


def write_manifest(folder: Path) -> None:
    """Look over every file below a folder and write down what it is; the manifest itself is on the disk then."""
    write_json(folder / MANIFEST, {"format": FORMAT, "files": entries(folder, anew=True)})


def entries(folder: Path, *, anew: bool = False) -> dict[str, dict[str, Any]]:
    """Name → size and hash, as the manifest has them; nothing where it is damaged or missing.

    Args:
        anew: as the files are now.
    """
    if not anew:
        try:
            return _read(folder / MANIFEST)
        except Unreadable:
            return {}
    names = sorted(_files(folder))
    with ThreadPoolExecutor(READERS) as pool:
        return dict(zip(names, pool.map(lambda name: _entry(folder / name), names), strict=True))


def is_marked(folder: Path) -> bool:
    """Whether somebody has finished writing the folder; what it holds now is not looked at."""
    return (folder / MANIFEST).is_file() or (folder / MARKER).is_file()


def damage(folder: Path, *, deep: bool, unread: str | None = None) -> str | None:
    """What is wrong with a folder, to follow its name in a sentence, such as ``lacks model.safetensors``; None where
    it is whole.

    Args:
        deep: read every file and compare its hash; else sizes alone.
        unread: how names begin whose sizes are enough all the same.
    """
    if not (folder / MANIFEST).is_file() and (folder / MARKER).is_file():
        return old_damage(folder) if deep else None
    try:
        files = _read(folder / MANIFEST)
    except Missing:
        return f"has no {MANIFEST}, as its writing was cut short"
    except Unreadable as error:
        return f"has a damaged {MANIFEST} (it {error})"
    with ThreadPoolExecutor(READERS) as pool:
        read = {name for name in files if deep and (unread is None or not name.startswith(unread))}
        found = pool.map(lambda name: _differs(folder / name, visible(name), files[name], name in read), files)
        return next(filter(None, found), None)


def _differs(path: Path, name: str, entry: Mapping[str, Any], deep: bool) -> str | None:
    try:
        if path.is_symlink() or not path.is_file():
            return f"lacks {name}"
        size = path.stat().st_size
        if size != entry["bytes"]:
            return f"has {name} with {size:,} of {entry['bytes']:,} bytes"
        if deep and _entry(path)["sha256"] != entry["sha256"]:
            return f"has other content in {name} than was written"
    except (Unreadable, OSError, ValueError):
        return f"has a {name} that cannot be read"
    return None


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """Raises Unreadable also where it is no manifest."""
    told = read_json(path, LARGEST)
    files = told.get("files") if isinstance(told, dict) else None
    if not isinstance(files, dict):
        raise Unreadable("has no files")
    if type(told.get("format")) is not int or told["format"] != FORMAT:
        raise Unreadable(f"is not of format {FORMAT}")
    for name, entry in files.items():
        shown = visible(name)[:80]
        if not name or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or "\0" in name:
            raise Unreadable(f"names {shown or 'nothing'}, which cannot be a file in the folder")
        if not isinstance(entry, dict) or type(entry.get("bytes")) is not int:
            raise Unreadable(f"has no size of {shown}")
        if not isinstance(entry.get("sha256"), str) or not re.fullmatch(r"[0-9a-f]{64}", entry["sha256"]):
            raise Unreadable(f"has no SHA-256 of {shown}")
    return files


def _entry(path: Path) -> dict[str, Any]:
    with open_regular(path) as file:
        return {"bytes": os.fstat(file.fileno()).st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _files(folder: Path) -> Iterator[str]:
    """Names below a folder, with ``/`` between parts."""
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            if path.is_file() and not path.is_symlink() and path != folder / MANIFEST:
                yield path.relative_to(folder).as_posix()
