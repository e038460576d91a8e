"""Room for what is about to be written, without a trace where it is not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def parents_made(path: Path) -> Iterator[None]:
    """Make the folders above a path; those that had to be made go again where the block raises and they are empty."""
    made: list[Path] = []
    for parent in path.absolute().parents:
        if os.path.lexists(parent):
            break
        made.append(parent)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        with suppress(OSError):
            for folder in made:
                folder.rmdir()
        raise
