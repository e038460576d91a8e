"""Paths as users type them, without the exceptions that pathlib has for odd ones."""

from __future__ import annotations

import os
from pathlib import Path


def user_path(text: str | Path) -> Path:
    """The path with ``~`` written out; ``~nobody``, and what no account could be named, stay as they are."""
    try:
        return Path(os.path.expanduser(text))
    except ValueError:
        return Path(text)


def cache_root() -> Path:
    """Where what can be made again is kept: ``SDAR_CACHE``, else ``~/.cache/sdar``."""
    return user_path(os.environ.get("SDAR_CACHE") or "~/.cache/sdar")


def is_folder(path: str | Path) -> bool:
    """Whether a folder is there; False also for what no file system would take as a name."""
    return os.path.isdir(user_path(path))


def is_file(path: str | Path) -> bool:
    """Whether a file is there; False also for what no file system would take as a name."""
    return os.path.isfile(user_path(path))
