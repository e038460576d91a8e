"""What is said of a checkpoint whose content makes no sense, where its manifest does not tell, or there is none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sdar_cli.errors import RunError, SdarError
from sdar_cli.reading import Unreadable

LARGEST = 256 * 1024**2
"""Bytes of a JSON file of a checkpoint."""


def damaged(file: Path, what: str) -> RunError:
    """
    Args:
        what: goes on after the file's path, such as ``is cut short``.
    """
    folder = next((one for one in (file, *file.parents) if one.name.startswith("step-")), file.parent)
    return RunError(f"{file} {what}: move {folder} away, and `sdar resume` goes on from the checkpoint before it")


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """Around the reading of a file that somebody may have changed.

    Raises:
        RunError: whatever goes wrong in there, but for the errors that have a sentence already.
    """
    try:
        yield
    except Unreadable as error:
        raise damaged(file, str(error)) from None
    except (SdarError, MemoryError):
        raise
    except Exception as error:
        if type(error).__name__ == "OutOfMemoryError":  # of a GPU
            raise
        lines = str(error).strip().splitlines()
        told = f"{type(error).__name__}: {lines[0][:160]}" if lines else type(error).__name__
        raise damaged(file, f"cannot be used ({told})") from error


def is_alike(told: Any, own: Any) -> bool:
    """Whether plain data has the make of other plain data: the same keys, lengths and kinds."""
    if isinstance(own, dict):
        return isinstance(told, dict) and told.keys() == own.keys() and all(is_alike(told[k], own[k]) for k in own)
    if isinstance(own, list | tuple):
        return isinstance(told, list) and len(told) == len(own) and all(map(is_alike, told, own))
    if own is None or isinstance(own, bool):
        return told is None or isinstance(told, bool)
    if isinstance(own, int | float):
        return isinstance(told, int | float) and not isinstance(told, bool)
    return type(told) is type(own)
