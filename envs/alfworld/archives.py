"""Zip archives of others, unpacked into a folder: every name is looked at before a byte is written."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from sdar_cli.errors import EnvironmentSetupError
from sdar_cli.reading import Unreadable, open_regular, size

MOST_FILES = 200_000
MOST_BYTES = 20 << 30
"""All that an archive may unpack to; the largest of the release has 2 GB."""
LARGEST_MEMBER = 1 << 30
MOST_PACKED = 500
"""Bytes that one packed byte may become: JSON with thousands of like lines gives some tens, a bomb a thousand."""
DEEPEST = 12
"""Folders within each other."""
_PIECE = 1 << 20
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    LookupError,
    ArithmeticError,
)

Progress = Callable[[int, int], None]


def unpack(archive: Path, folder: Path, progress: Progress | None = None) -> None:
    """Unpack into ``folder``, which exists; ``progress`` gets files (done, all).

    Raises:
        EnvironmentSetupError: it is no archive or a damaged one; a member is a link, leaves the folder, stands there
            twice or under an odd name; or it would unpack to more than any release of games.
    """
    try:
        with open_regular(archive) as content, zipfile.ZipFile(content) as opened:
            members = [(member, _place(member, archive)) for member in opened.infolist() if not member.is_dir()]
            _check(members, archive)
            for number, (member, place) in enumerate(members, start=1):
                _write(opened, member, folder / place, archive)
                if progress is not None:
                    progress(number, len(members))
    except Unreadable as error:
        raise _refused(archive, str(error)) from None
    except (*_DAMAGE, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # a place before the file's beginning
            raise
        reason = "".join(letter if letter.isprintable() else " " for letter in str(error))[:160]
        raise _refused(archive, f"is no whole archive ({reason})") from None


def _place(member: zipfile.ZipInfo, archive: Path) -> PurePosixPath:
    """Where a member goes, below the folder."""
    name = member.orig_filename
    place = PurePosixPath(name)
    shown = ascii(name if len(name) <= 80 else f"{name[:79]}…")
    if place.is_absolute() or ".." in place.parts or "\\" in name or ":" in name:
        raise _refused(archive, f"holds {shown}, which would leave the folder")
    if not name.isprintable() or len(place.parts) > DEEPEST or any(len(part.encode()) > 255 for part in place.parts):
        raise _refused(archive, f"holds {shown}, which is no name for a file")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _refused(archive, f"holds {shown}, packed in a way that no release is")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise _refused(archive, f"holds {shown}, which is a link or a device")
    return place


def _check(members: list[tuple[zipfile.ZipInfo, PurePosixPath]], archive: Path) -> None:
    if len(members) > MOST_FILES:
        raise _refused(archive, f"holds more than {MOST_FILES:,} files")
    files = {place for _, place in members}
    if len(files) < len(members) or any(parent in files for place in files for parent in place.parents):
        raise _refused(archive, "holds a name twice")
    for member, place in members:
        if member.file_size > max(1 << 20, MOST_PACKED * member.compress_size) or member.file_size > LARGEST_MEMBER:
            raise _refused(archive, f"holds {str(place)!a}, which unpacks to {member.file_size:,} bytes")
    if sum(member.file_size for member, _ in members) > MOST_BYTES:
        raise _refused(archive, f"unpacks to more than {size(MOST_BYTES)}")


def _write(opened: zipfile.ZipFile, member: zipfile.ZipInfo, file: Path, archive: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    left = member.file_size
    with opened.open(member) as packed, file.open("xb") as out:
        while piece := packed.read(_PIECE):
            left -= len(piece)
            if left < 0:
                raise _refused(archive, f"holds {member.filename!a}, which unpacks to more than it says")
            out.write(piece)


def merge(source: Path, target: Path) -> None:
    """Move all files below ``source`` to the same places below ``target``, over what is there."""
    for parent, _, names in os.walk(source):
        place = target / Path(parent).relative_to(source)
        if place.is_symlink() and not place.is_dir():
            raise EnvironmentSetupError(f"{place} is a link to nothing: remove it")
        place.mkdir(parents=True, exist_ok=True)
        for name in names:
            _move(Path(parent, name), place / name)
    shutil.rmtree(source)


def _move(file: Path, place: Path) -> None:
    """Over what is there; to another disk, where a folder is a link to one, through a copy beside."""
    try:
        os.replace(file, place)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        beside = place.with_name(f".{place.name}.part")
        try:
            shutil.copyfile(file, beside)
            os.replace(beside, place)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise


def _refused(archive: Path, reason: str) -> EnvironmentSetupError:
    return EnvironmentSetupError(f"the archive {archive.name} {reason}: get it again from where it is published")
