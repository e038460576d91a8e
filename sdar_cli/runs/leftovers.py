"""What a kill leaves in a run's folder: parts of files and folders that nobody will finish."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path

_FILE = re.compile(r"\..+\.[a-z0-9_]{8}")
"""As ``evaluation.files.write_bytes`` names what it writes."""
_FOLDER = re.compile(r"\.base[.-](writing|merging.*|(removed-)?\d+|\d+-removed-\d+)|\.step-\d+-(removed-)?\d+")
"""As ``runs.whole`` and ``training.base`` name what they write or delete; what is ``.torn-`` stays."""
QUIET = 60.0
"""Seconds after which nobody writes to a file any more; evaluations are written without the run's lock."""


def sweep(run: Path) -> None:
    """Remove the parts; for a process that holds the run's lock."""
    for folder in (run, run / "failure"):
        for path in folder.glob(".*"):
            if path.is_dir() and not path.is_symlink() and _FOLDER.fullmatch(path.name):
                shutil.rmtree(path, ignore_errors=True)
    for folder in (run, *(run / name for name in ("evaluations", "transcripts", "plots"))):
        for path in folder.glob(".*"):
            if path.is_file() and _FILE.fullmatch(path.name) and (folder == run or _is_old(path)):
                path.unlink(missing_ok=True)


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > QUIET
    except FileNotFoundError:
        return False
