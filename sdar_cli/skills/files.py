"""Reading the files of a bank: bounded, UTF-8, and never from outside its folder."""

from __future__ import annotations

import os
from pathlib import Path

from sdar_cli.errors import SkillError
from sdar_cli.reading import Outside, Unreadable, open_inside, walk
from sdar_cli.skills.skill import MAX_FILE_BYTES

MAX_FILES = 512
MAX_ENTRIES = 20_000
"""Files and folders of all kinds that a bank may lie among."""


def read_text(path: Path, root: Path) -> str:
    """The text of a file in the bank ``root``.

    Raises:
        SkillError: it is missing, no file, larger than ``MAX_FILE_BYTES``, not UTF-8, or leaves the folder.
    """
    try:
        return read_inside(path, root)
    except Outside:
        raise SkillError(f"{path} is a link that leaves the bank's folder: copy the file into the bank") from None
    except Unreadable as error:
        raise SkillError(f"{path} {error}: put a readable file there, or remove it from the bank") from None


def read_inside(path: Path, root: Path) -> str:
    """As ``read_text``; what the path is, if no file of the bank, is for the caller to say.

    Raises:
        Unreadable: it is missing, no file, or leaves the folder.
        SkillError: what it holds is no text of a bank.
    """
    try:
        with open_inside(path, root) as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise Unreadable(f"cannot be read ({error.strerror or error})") from None
    if len(data) > MAX_FILE_BYTES:
        raise SkillError(f"{path} is larger than {MAX_FILE_BYTES // 1024} KiB: shorten it, a skill is a few lines")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SkillError(f"{path} is not UTF-8 at byte {error.start}: save it as UTF-8") from None


def markdown_files(folder: Path, mapping: str) -> list[Path]:
    """``*.md`` files of the folder and its subfolders, ``README.md`` apart, in the order of their relative paths.

    Raises:
        SkillError: a subfolder is a link, cannot be listed, or holds a bank with a file called ``mapping``; a name
            that ends in .md is a folder's; there are too many.
    """
    found: list[Path] = []
    try:
        for entry in walk(folder, MAX_ENTRIES):
            path = Path(entry.path)
            if entry.is_symlink() and os.path.isdir(path):
                raise SkillError(f"{path} is a link to a folder: put its skills into the bank itself")
            if entry.name == mapping:
                raise SkillError(
                    f"{folder} holds the bank {path.parent}, which has a {mapping} of its own: give that folder"
                )
            if path.suffix.lower() != ".md" or entry.name.lower() == "readme.md":
                continue
            found.append(path)
            if len(found) > MAX_FILES:
                raise SkillError(
                    f"skill bank {folder} holds more than {MAX_FILES} skills: split it, or give a subfolder"
                )
    except Unreadable as error:
        raise SkillError(f"skill bank {folder} {error}: check its permissions, or give a subfolder") from None
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())
