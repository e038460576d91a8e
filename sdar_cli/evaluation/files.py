"""JSON on disk: canonical text for hashes, and writes that are whole or absent."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from sdar_cli.runs.disk import sync_folder


def canonical(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no spaces, non-finite numbers refused (ValueError)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """SHA-256 over ``canonical(value)``, 64 hexadecimal digits."""
    return hashlib.sha256(canonical(value).encode("utf-8", "surrogatepass")).hexdigest()


def write_json(path: Path, value: Any, *, lasting: bool = True) -> None:
    """Write indented JSON beside ``path``, flush it to the disk, then put it in place."""
    text = json.dumps(value, indent=1, ensure_ascii=True, allow_nan=False) + "\n"
    write_bytes(path, text.encode(), lasting=lasting)


def write_bytes(path: Path, content: bytes, *, lasting: bool = True) -> None:
    """Replace ``path`` by ``content`` in one move; a failure leaves the old file as it was.

    A kill may leave a part beside it, named ``.NAME.`` and eight letters.

    Args:
        lasting: have the move on the disk, too, before returning. Else a power loss may bring the old file back,
            which is as whole: the content is flushed before the move in any case, as file systems may order the two
            as they like.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(beside, 0o644)
        os.replace(beside, path)
        if lasting:
            sync_folder(path.parent)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
