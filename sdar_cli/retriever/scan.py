"""The one pass over a corpus file that checks every passage and notes where each begins.

A corpus is JSON Lines as Search-R1 has them, ``{"id": "0", "contents": "\\"Title\\"\\ntext"}``; further keys are kept.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import zlib
from array import array
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from sdar_cli.errors import EnvironmentSetupError
from sdar_cli.reading import Unreadable, open_regular
from sdar_cli.retriever.engine import Progress

OFFSETS = "offsets.npy"
"""int64, one more than passages: where each begins, and the file's end. Blank lines may follow a passage."""
UNPACKED = "corpus.jsonl"
LONGEST = 16 * 2**20
"""Bytes of a line: more is not a passage but a file without line breaks."""
MOST_PACKED = 100
"""Bytes that one byte of a ``.gz`` may unpack to; text gives three to ten, and a bomb a thousand."""
_LEAST_LIMIT = 64 * 2**20
_REPORT = 4096
_LARGEST = 1 << 63


@dataclass(frozen=True, slots=True)
class Source:
    """The file that offsets belong to."""

    file: str
    """Its path; a bare name where it lies in the index's folder."""
    bytes: int
    modified: int
    """Nanoseconds, as the file system has it."""
    sha256: str
    documents: int


def scan(file: Path, folder: Path, progress: Progress) -> Source:
    """Check every passage and write ``offsets.npy`` into ``folder``, and the unpacked corpus if it is a ``.gz``.

    Blank lines are no passages.

    Raises:
        EnvironmentSetupError: the file cannot be read, or a line is damaged (named by its number).
    """
    import numpy as np

    offsets = array("q")
    digest = hashlib.sha256()
    packed = file.suffix == ".gz"
    end = 0
    with ExitStack() as stack:
        raw = stack.enter_context(open_corpus(file))
        size = os.fstat(raw.fileno()).st_size
        lines: IO[bytes] = stack.enter_context(gzip.GzipFile(fileobj=raw)) if packed else raw  # type: ignore[assignment]
        copy = stack.enter_context((folder / UNPACKED).open("wb")) if packed else None
        for number, line in enumerate(lines_of(lines, file), start=1):
            if not line.isspace():
                check(line, f"{file}: line {number}")
                offsets.append(end)
            digest.update(line)
            if copy is not None:
                copy.write(line)
            end += len(line)
            if packed and end > max(_LEAST_LIMIT, MOST_PACKED * size):
                raise EnvironmentSetupError(
                    f"{file} unpacks to more than {MOST_PACKED} times its size, which no text does: restore the file "
                    "from its source"
                )
            if number % _REPORT == 0:
                progress(raw.tell(), size)
        progress(size, size)
    if not offsets:
        raise EnvironmentSetupError(f"{file} holds no passage: give a file of JSON lines that have 'contents'")
    documents = len(offsets)
    offsets.append(end)
    np.save(folder / OFFSETS, np.frombuffer(offsets, dtype=np.int64))
    facts = (folder / UNPACKED if packed else file).stat()
    name = UNPACKED if packed else str(file.absolute())
    return Source(name, end, facts.st_mtime_ns, digest.hexdigest(), documents)


def open_corpus(file: Path) -> IO[bytes]:
    """
    Raises:
        EnvironmentSetupError: there is no such file, or it cannot be read.
    """
    try:
        str(file).encode()
        return open_regular(file)
    except Unreadable as error:
        raise EnvironmentSetupError(f"the corpus {file} {error}: give a file of JSON lines with --corpus") from None
    except UnicodeEncodeError:
        raise EnvironmentSetupError(f"the corpus {str(file)!a} has a name that is no text: rename it") from None


def check(line: bytes, where: str) -> dict[str, Any]:
    """The passage of a line.

    Raises:
        EnvironmentSetupError: it is none; begins with ``where``.
    """
    remedy = 'each line must be {"id": "0", "contents": "\\"Title\\"\\ntext"}'
    try:
        passage = json.loads(line.rstrip().decode("utf-8-sig"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise EnvironmentSetupError(f"{where} is not UTF-8 (byte {error.start}): {remedy}") from error
    except RecursionError:
        raise EnvironmentSetupError(f"{where} is not valid JSON (nested too deeply): {remedy}") from None
    except ValueError as error:
        reason = f"{error.msg}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
        raise EnvironmentSetupError(f"{where} is not valid JSON ({reason}): {remedy}") from error
    if not isinstance(passage, dict):
        raise EnvironmentSetupError(f"{where} is no JSON object but a {type(passage).__name__}: {remedy}")
    contents = passage.get("contents")
    if not isinstance(contents, str):
        found = f"holds a {type(contents).__name__} in" if "contents" in passage else "has no"
        raise EnvironmentSetupError(f"{where} {found} 'contents', which is the passage's text: {remedy}")
    if b"\\u" in line or not all(isinstance(value, str) for value in passage.values()):
        _check_answerable(passage, where)
    return passage


def _check_answerable(passage: dict[str, Any], where: str) -> None:
    """JSON can say what cannot be sent on: half of a surrogate pair, a number beyond floats, nesting without end."""
    try:
        if any(type(value) is int and not -_LARGEST <= value < _LARGEST for value in passage.values()):
            raise ValueError("more than 64 bits")
        json.dumps(passage, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError as error:
        raise EnvironmentSetupError(
            f"{where} holds half of a character (a lone surrogate, \\u{ord(error.object[error.start]):04x}): "
            "remove it, or write the whole character"
        ) from error
    except (ValueError, RecursionError) as error:
        raise EnvironmentSetupError(
            f"{where} holds a number that is too large or lists that are too deep ({error}): remove that key"
        ) from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def lines_of(lines: IO[bytes], file: Path) -> Iterator[bytes]:
    """The lines of a corpus, none longer than ``LONGEST``.

    Raises:
        EnvironmentSetupError: one is longer, or the file cannot be read or unpacked.
    """
    number = 0
    while True:
        number += 1
        try:
            line = lines.readline(LONGEST + 1)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise EnvironmentSetupError(
                f"{file}: line {number} cannot be unpacked ({error}): restore the file from its source"
            ) from error
        except OSError as error:
            raise EnvironmentSetupError(f"{file}: line {number} cannot be read ({error.strerror})") from error
        if not line:
            return
        if len(line) > LONGEST:
            raise EnvironmentSetupError(
                f"{file}: line {number} is longer than {LONGEST // 2**20} MiB: give a file with one passage a line"
            )
        yield line


def sha256(file: Path) -> str:
    with open_corpus(file) as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
