"""The one door for files that others wrote: regular, bounded, UTF-8, and JSON that means one thing.

Whatever lies at a path, reading it ends: a pipe or a device is refused before it can block, and no more than a bound
is ever held. What is wrong comes as ``Unreadable``, whose text goes on after the path: ``f"{path} {error}: remedy"``.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from sdar_cli.json_values import ANY_NUMBERS, NUMBERS, check_values, once
from sdar_cli.unreadable import Missing, Outside, Unreadable

DEPTH = 64
"""Levels of nesting that JSON may have."""
_PIECE = 512
"""Bytes that an unpacker first takes: what is behind a member's end is handed back, and must not be the whole rest."""
_SUSPECT = re.compile(r"[eE]\+?[0-9]{3}|(?<![0-9])[0-9]{19}|\\u[dD][89a-fA-F]")
"""Numbers that may be too large and halves of surrogate pairs: rare, and only then is every value looked at."""
_REPOSITORY = re.compile(r"(?:models|datasets|spaces)--.")
"""How Hugging Face's cache names a repository's folder."""
_KINDS = (
    (stat.S_ISDIR, "folder"),
    (stat.S_ISFIFO, "pipe"),
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISCHR, "device"),
    (stat.S_ISBLK, "device"),
)


def open_regular(path: Path) -> BinaryIO:
    """A regular file, open for reading; never waits for the other end of a pipe.

    Raises:
        Missing: there is nothing at the path.
        Unreadable: it is no regular file, or may not be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise Missing("does not exist") from None
    except OSError as error:
        raise Unreadable(f"cannot be read ({error.strerror or error})") from None
    except ValueError:
        raise Unreadable("is no name that a file can have") from None
    return _regular(descriptor)


def open_inside(path: Path, root: Path) -> BinaryIO:
    """A regular file in ``root``, as ``open_regular``; links must stay in there (``inside``), and one that is put in
    the way between that look and the opening is not followed.

    Raises:
        Missing: there is nothing at the path.
        Unreadable: it leaves the folder, is no regular file, or may not be read.
    """
    real, home = _within(path, root)
    parts = real.relative_to(home).parts or (".",)
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptors: list[int] = []
    try:
        descriptors.append(os.open(home, flags | os.O_DIRECTORY))
        for part in parts[:-1]:
            descriptors.append(os.open(part, flags | os.O_DIRECTORY, dir_fd=descriptors[-1]))
        opened = os.open(parts[-1], flags | os.O_NONBLOCK, dir_fd=descriptors[-1])
    except FileNotFoundError:
        raise Missing("does not exist") from None
    except OSError as error:
        raise Unreadable(f"cannot be read ({error.strerror or error})") from None
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    return _regular(opened)


def _regular(descriptor: int) -> BinaryIO:
    """The file of a descriptor, which is closed where it is no regular one."""
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            kind = next((kind for is_one, kind in _KINDS if is_one(mode)), "special file")
            raise Unreadable(f"is a {kind}, not a file")
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_bytes(path: Path, most: int) -> bytes:
    """The content of a regular file of at most ``most`` bytes.

    Raises:
        Unreadable: as ``open_regular``, or the file is larger or cannot be read to its end.
    """
    with open_regular(path) as file:
        try:
            content = file.read(most + 1)
        except OSError as error:
            raise Unreadable(f"cannot be read ({error.strerror or error})") from None
    if len(content) > most:
        raise Unreadable(f"is larger than {size(most)}")
    return content


def walk(folder: Path, most: int) -> Iterator[os.DirEntry[str]]:
    """Every entry below a folder, those of folders included, in the order of their names; links are not followed.

    Raises:
        Unreadable: there are more than ``most``, or a folder cannot be listed; the text follows the folder's path.
    """
    count = 0
    waiting = [os.fspath(folder)]
    while waiting:
        here = waiting.pop()
        entries = []
        try:
            with os.scandir(here) as listed:
                for entry in listed:
                    count += 1
                    if count > most:
                        raise Unreadable(f"holds more than {most} files and folders")
                    entries.append(entry)
        except OSError as error:
            inner = f"holds {here}, which" if here != os.fspath(folder) else "is a folder that"
            raise Unreadable(f"{inner} cannot be listed ({error.strerror or error})") from None
        entries.sort(key=lambda entry: entry.name)
        yield from entries
        waiting += [entry.path for entry in reversed(entries) if entry.is_dir(follow_symlinks=False)]


def read_text(path: Path, most: int) -> str:
    """UTF-8 text, without a byte-order mark; otherwise as ``read_bytes``."""
    return _text(read_bytes(path, most))


def read_json(path: Path, most: int, *, depth: int = DEPTH) -> Any:
    """A JSON file's value (see ``parse_json``); otherwise as ``read_bytes``."""
    return parse_json(read_bytes(path, most), depth=depth)


def parse_json(content: bytes | str, *, depth: int = DEPTH, any_number: bool = False) -> Any:
    """The value of a JSON text that every reader understands alike.

    Args:
        any_number: one that is not finite or beyond 64 bits is no mistake, and comes as its text.

    Raises:
        Unreadable: it is no JSON, or has a key twice, a number that is not finite or beyond 64 bits, half of a
            surrogate pair, or more than ``depth`` levels.
    """
    text = _text(content) if isinstance(content, bytes) else content
    try:
        value = json.loads(text, object_pairs_hook=once, **(ANY_NUMBERS if any_number else NUMBERS))
    except json.JSONDecodeError as error:
        raise Unreadable(f"is not JSON (line {error.lineno}: {error.msg})") from None
    except RecursionError:
        raise Unreadable(f"is nested deeper than {depth} levels") from None
    except ValueError:
        raise Unreadable("holds a number of thousands of digits") from None
    if text.count("[") + text.count("{") > depth or _SUSPECT.search(text):
        check_values(value, depth)
    return value


def gunzip(data: bytes, most: int) -> bytes:
    """Unpack gzip of one or more members to at most ``most`` bytes.

    Raises:
        Unreadable: it is cut short, damaged or unpacks to more.
    """
    parts: list[bytes] = []
    held = 0
    view, place = memoryview(data), 0
    while place < len(view):
        if view[place] == 0:  # what fills a block behind the last member
            place += 1
            continue
        member, piece = zlib.decompressobj(wbits=31), _PIECE
        while not member.eof:
            if place >= len(view):
                raise Unreadable("is cut short")
            taken = view[place : place + piece]
            try:
                part = member.decompress(taken, most - held + 1)
            except zlib.error:
                raise Unreadable("is damaged, or not packed by gzip") from None
            place, piece = place + len(taken), 2 * piece
            held += len(part)
            if held > most:
                raise Unreadable(f"unpacks to more than {size(most)}")
            parts.append(part)
        place -= len(member.unused_data)
    return b"".join(parts)


def inside(path: Path, root: Path) -> Path:
    """The path with its links followed, which must stay in ``root`` (itself a link or not).

    A folder of Hugging Face's cache is one too: what lies in ``…/snapshots/REVISION`` are links into ``…/blobs``.

    Raises:
        Missing: a link leads nowhere.
        Outside: the path leaves the folder.
        Unreadable: it cannot be followed.
    """
    return _within(path, root)[0]


def _within(path: Path, root: Path) -> tuple[Path, Path]:
    """As ``inside``, and the folder that it is in, of which no part is a link: the root, or a cache's blobs."""
    try:
        real, home = Path(os.path.realpath(path, strict=True)), Path(os.path.realpath(root))
    except (FileNotFoundError, NotADirectoryError):
        raise Missing("does not exist") from None
    except (OSError, ValueError) as error:
        if getattr(error, "errno", None) == errno.ENAMETOOLONG:
            raise Missing("does not exist") from None
        raise Unreadable(f"cannot be followed ({getattr(error, 'strerror', None) or error})") from None
    for folder in (home, *_blobs(home)):
        if real.is_relative_to(folder):
            return real, folder
    raise Outside(f"leads out of the folder {root}")


def _blobs(home: Path) -> Iterator[Path]:
    """The contents of a repository of the cache whose snapshot the folder is, or is in."""
    for revision in (home, *home.parents):
        if revision.parent.name == "snapshots" and _REPOSITORY.match(revision.parent.parent.name):
            yield revision.parent.parent / "blobs"


def size(count: int) -> str:
    """A bound in words: ``64 KiB``."""
    for unit, places in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if count >> places and not count % (1 << places):
            return f"{count >> places} {unit}"
    return f"{count} bytes"


def _text(content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Unreadable("is not UTF-8 text") from None
    if "\0" in text:
        raise Unreadable("holds a NUL character, which no text has")
    return text
