"""The one pass over a corpus file that checks every passage and notes where each begins.

A corpus is JSON Lines as Search-R1 has them, ``{"id": "0", "contents": "\\"Title\\"\\ntext"}``; further keys are kept.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from array import array
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from sdar_cli.errors import EnvironmentSetupError
from sdar_cli.retriever.engine import Progress

OFFSETS = "offsets.npy"
"""int64, one more than passages: where each begins, and the file's end."""
UNPACKED = "corpus.jsonl"
LONGEST = 16 * 2**20
"""Bytes of a line: more is not a passage but a file without line breaks."""
_REPORT = 4096
_CHUNK = 2**20


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
        size = file.stat().st_size
        lines: IO[bytes] = stack.enter_context(gzip.GzipFile(fileobj=raw)) if packed else raw  # type: ignore[assignment]
        copy = stack.enter_context((folder / UNPACKED).open("wb")) if packed else None
        for number, line in enumerate(_lines(lines, file), start=1):
            if not line.isspace():
                check(line, f"{file}: line {number}")
                offsets.append(end)
            digest.update(line)
            if copy is not None:
                copy.write(line)
            end += len(line)
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
        return file.open("rb")
    except OSError as error:
        raise EnvironmentSetupError(
            f"the corpus {file} cannot be read ({error.strerror}): give a file of JSON lines with --corpus"
        ) from error


def check(line: bytes, where: str) -> dict[str, Any]:
    """The passage of a line.

    Raises:
        EnvironmentSetupError: it is none; begins with ``where``.
    """
    remedy = 'each line must be {"id": "0", "contents": "\\"Title\\"\\ntext"}'
    try:
        passage = json.loads(line.rstrip().decode(), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise EnvironmentSetupError(f"{where} is not UTF-8 (byte {error.start}): {remedy}") from error
    except (ValueError, RecursionError) as error:
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


def _lines(lines: IO[bytes], file: Path) -> Iterator[bytes]:
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
