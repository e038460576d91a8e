"""The folder of an export: it appears as a whole, and an earlier one gives way to it only where nothing is lost.

An export's record marks every file that was written. What the record does not name, or what is no longer as it was
written, is the user's, and is never removed: the `.git` of a hub repository, a card that was edited.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from sdar_cli.errors import RunError, UserError
from sdar_cli.reading import Unreadable, open_regular, read_json
from sdar_cli.runs.disk import sync_file
from sdar_cli.stop import STOP
from sdar_cli.visible import visible

FORMAT = 1
RECORD = "sdar_export.json"
"""By which a folder is known as an export."""
LARGEST = 16 << 20
"""Bytes of a record."""
HASHED = 1 << 26
"""Bytes up to which a file is marked by its contents too; larger ones, which are weights, by their size alone."""
ELSEWHERE = "name another folder with --to"


def marks(folder: Path) -> dict[str, str]:
    """Every file and folder inside but the record, by its path, and by what it is known again."""
    found = {path.relative_to(folder).as_posix(): _mark(path) for path in sorted(folder.rglob("*"))}
    found.pop(RECORD, None)
    return found


def _mark(path: Path) -> str:
    if path.is_symlink():
        return "link"
    if path.is_dir():
        return "folder"
    if not path.is_file():
        return "other"
    size = path.stat().st_size
    if size > HASHED:
        return f"{size} bytes"
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except Unreadable:
        return "other"


def check_place(folder: Path, force: bool) -> None:
    """
    Raises:
        UserError: there is something that an export may not replace, or may only with ``force``.
    """
    try:
        if not folder.exists():
            return
        if not folder.is_dir():
            raise UserError(f"{folder} is a file: name a folder with --to")
        if not any(folder.iterdir()):
            return
        try:
            made = _made(folder)
        except Unreadable as error:
            raise UserError(
                f"{folder} holds something else than an export of sdar's (its {RECORD} {error}): {ELSEWHERE}"
            ) from None
        if not force:
            raise UserError(f"{folder} holds an export already: {ELSEWHERE}, or add --force")
        _check_foreign(folder, made, folder)
    except OSError as error:
        raise UserError(f"{folder} cannot be looked into ({error.strerror}): {ELSEWHERE}") from error


def _made(folder: Path) -> Mapping[str, str]:
    """The marks of the export that is there; Unreadable, to follow the record's name, where the folder is none."""
    record = read_json(folder / RECORD, LARGEST)
    if not isinstance(record, dict) or type(record.get("format")) is not int or record["format"] != FORMAT:
        raise Unreadable(f"is not of format {FORMAT}")
    if not isinstance(files := record.get("files"), dict):
        raise Unreadable("has no files")
    for name, mark in files.items():
        if not _is_inside(name):
            raise Unreadable(f"names {visible(name)[:80] or 'nothing'}, which cannot be a file in the folder")
        if not isinstance(mark, str):
            raise Unreadable(f"has no mark of {visible(name)[:80]}")
    return files


def _is_inside(name: str) -> bool:
    """Whether a name is of the folder's own: what is replaced is removed by these names."""
    path = PurePosixPath(name)
    return name not in ("", ".") and not path.is_absolute() and ".." not in path.parts and path.as_posix() == name


def _foreign(folder: Path, made: Mapping[str, str], inside: str = "") -> list[str]:
    """Paths of what the export did not write, or not as it is now; what is in such a folder is not counted."""
    found = []
    for path in sorted((folder / inside).iterdir()):
        name = path.relative_to(folder).as_posix()
        if name == RECORD and path.is_file() and not path.is_symlink():
            continue
        if name not in made or _mark(path) != made[name]:
            found.append(name)
        elif made[name] == "folder":
            found += _foreign(folder, made, name)
    return found


def _check_foreign(folder: Path, made: Mapping[str, str], at: Path) -> None:
    """
    Args:
        at: where the folder is while it is looked at.
    """
    if found := _foreign(at, made):
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        raise UserError(
            f"{folder} holds {found[0]}{more}, which the export there did not write, or not as it is now: move it "
            f"away, or {ELSEWHERE}"
        )


@contextmanager
def whole(folder: Path) -> Iterator[Path]:
    """A folder beside, put into the place when the block ends well, with all of it on the disk.

    Raises:
        RunError: the disk does not take it.
        UserError: meanwhile something came into the place that is the user's.
    """
    from safetensors import SafetensorError

    beside: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        beside.chmod(0o755)
        yield beside
        for path in beside.rglob("*"):
            if path.is_file():
                path.chmod(0o644)
                sync_file(path)
        with STOP.held():
            _replace(beside, folder)
    except (OSError, SafetensorError) as error:  # of a full disk too it is safetensors that speaks
        why = getattr(error, "strerror", None) or error
        raise RunError(f"the export cannot be written to {folder} ({why}): make room there, or {ELSEWHERE}") from error
    finally:
        if beside is not None:
            shutil.rmtree(beside, ignore_errors=True)


def _replace(beside: Path, folder: Path) -> None:
    """What is in the place is moved aside, looked at once more, and only then removed, file by file."""
    aside, made = None, {}
    if folder.exists():
        with suppress(Unreadable):
            made = _made(folder)
        aside = folder.with_name(f".{folder.name}-old-{os.getpid()}-{time.monotonic_ns()}")
        os.replace(folder, aside)
    try:
        if aside is not None:
            _check_foreign(folder, made, aside)
        os.replace(beside, folder)
    except (OSError, UserError):
        if aside is not None:
            os.replace(aside, folder)
        raise
    if aside is not None:
        _remove(aside, made)


def _remove(folder: Path, made: Mapping[str, str]) -> None:
    """An export's own files, and its folders as far as they are empty then."""
    try:
        for name in (*sorted(made, reverse=True), RECORD):  # what is in a folder stands before it
            path = folder / name
            if made.get(name) == "folder":
                path.rmdir()
            else:
                path.unlink(missing_ok=True)
        folder.rmdir()
    except OSError:  # it is out of the way, and whatever is left is not lost
        pass
