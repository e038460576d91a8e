"""Reading the files of a bank: bounded, UTF-8, and never from outside its folder."""

from __future__ import annotations

from pathlib import Path

from sdar_cli.errors import SkillError
from sdar_cli.skills.skill import MAX_FILE_BYTES


def read_text(path: Path) -> str:
    """The text of ``path``; SkillError when it is missing, larger than ``MAX_FILE_BYTES`` or not UTF-8."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise SkillError(f"{path} cannot be read ({error.strerror}): check its permissions") from None
    if len(data) > MAX_FILE_BYTES:
        raise SkillError(f"{path} is larger than {MAX_FILE_BYTES // 1024} KiB: shorten it, a skill is a few lines")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SkillError(f"{path} is not UTF-8 at byte {error.start}: save it as UTF-8") from None


def check_inside(path: Path, root: Path) -> None:
    """SkillError when ``path`` is a link that leaves the resolved folder ``root``, or is no file."""
    if not path.resolve().is_relative_to(root):
        raise SkillError(f"{path} is a link that leaves the bank's folder: copy the file into the bank")
    if not path.is_file():
        raise SkillError(f"{path} is not a readable file: remove it from the bank")
