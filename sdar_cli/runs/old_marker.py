"""Checkpoints of before there were manifests: marked by a file ``complete``, with moments in torch's own format."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

from sdar_cli.reading import Unreadable, open_regular, read_bytes

MARKER = "complete"
LARGEST = 256 * 1024**2
"""Bytes of a JSON file of a checkpoint; the largest is a tokenizer's."""
LARGEST_HEADER = 100 * 1000**2
"""Bytes of a safetensors header, as its readers have it."""


def old_damage(folder: Path) -> str | None:
    """What of the files' own lengths, sums and grammars does not hold; words as of ``manifest.damage``."""
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        name = path.relative_to(folder).as_posix()
        try:
            whole = _CHECKS[path.suffix](path) if path.suffix in _CHECKS else True
        except (Unreadable, ValueError, RecursionError, OSError):
            whole = False
        if not whole:
            return f"has a damaged {name}"
    return None


def _is_whole_safetensors(path: Path) -> bool:
    """Whether a file is as long as its header says."""
    with open_regular(path) as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= LARGEST_HEADER:
            return False
        try:
            header = json.loads(file.read(length))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
            return file.seek(0, 2) == 8 + length + max(ends, default=0)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return False


def _is_whole_archive(path: Path) -> bool:
    """Whether the sums in what torch wrote are those of its content."""
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError, RuntimeError):
        return False


def _is_json(path: Path) -> bool:
    json.loads(read_bytes(path, LARGEST))
    return True


_CHECKS: dict[str, Callable[[Path], bool]] = {
    ".json": _is_json,
    ".safetensors": _is_whole_safetensors,
    ".pt": _is_whole_archive,
    ".pth": _is_whole_archive,
}
