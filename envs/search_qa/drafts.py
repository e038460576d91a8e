"""Folders and files that appear complete or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from sdar_cli.errors import EnvironmentSetupError


@contextmanager
def drafted(folder: Path) -> Iterator[Path]:
    """A folder beside ``folder``, which is moved there at the end; nothing stays of it after an error.

    Where another process was first, its folder is kept. Raises EnvironmentSetupError where nothing can be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        yield draft
        draft.chmod(0o755)
        try:
            os.rename(draft, folder)
        except OSError:
            if not folder.is_dir():
                raise
    except OSError as error:
        raise _unwritable(folder, error) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def write_lines(file: Path, lines: Iterable[str]) -> None:
    """Write a text file that is on disk when this returns."""
    with file.open("w", encoding="utf-8", newline="\n") as out:
        out.writelines(f"{line}\n" for line in lines)
        out.flush()
        os.fsync(out.fileno())


def _unwritable(folder: Path, error: OSError) -> EnvironmentSetupError:
    return EnvironmentSetupError(
        f"nothing can be written to {folder.parent} ({error.strerror}): set SDAR_CACHE to a folder that can be "
        "written and has room"
    )
