"""The catalogue's three JSON files: finding them, knowing them again, and reading them record by record.

``items_shuffle*.json`` is a list of products, ``items_ins_v2*.json`` and ``items_human_ins.json`` are mappings
from asin. The largest has 5 GB, so nothing here holds more than a record and a buffer.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from sdar_cli.errors import EnvironmentSetupError
from sdar_cli.paths import is_file, is_folder
from sdar_cli.reading import Outside, Unreadable, inside, open_regular
from sdar_envs.webshop.json_records import Records, TooDeep
from sdar_envs.webshop.json_text import HalfCharacters

PRODUCTS, INSTRUCTIONS, HUMAN = "items_shuffle", "items_ins_v2", "items_human_ins.json"
_CHUNK = 1 << 18
_HEAD = 1 << 20
LARGEST_RECORD = 16 << 20
"""Bytes: a product has some thousands."""


class Damage(Exception):
    """What is wrong with a record: the middle of a sentence that begins with file and record."""


class DamagedFile(EnvironmentSetupError):
    """A file does not hold what it should."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}: restore the file from its source")


@dataclass(frozen=True, slots=True)
class Sources:
    products: Path
    instructions: Path
    human: Path | None
    """None where the folder has no ``items_human_ins.json``: there are no goals of people then."""

    @property
    def files(self) -> tuple[Path, ...]:
        """In the order in which they are read."""
        return tuple(file for file in (self.instructions, self.human, self.products) if file is not None)


def find_sources(source: Path) -> Sources:
    """The files of a folder, or those that lie beside a file of products.

    Raises:
        EnvironmentSetupError: a file is missing, or there are several to choose from.
    """
    if is_file(source):
        folder, products = source.parent, [source]
    elif is_folder(source):
        folder, products = source, _named(source, PRODUCTS)
    else:
        raise EnvironmentSetupError(
            f"{f'{source} is neither a folder nor a file' if os.path.lexists(source) else f'there is no {source}'}: "
            f"name the folder that holds {PRODUCTS}*.json and {INSTRUCTIONS}*.json"
        )
    chosen = _one(folder, products, PRODUCTS)
    same_suffix = folder / chosen.name.replace(PRODUCTS, INSTRUCTIONS, 1)
    if is_file(same_suffix) and same_suffix != chosen:
        instructions = same_suffix
    else:
        instructions = _one(folder, _named(folder, INSTRUCTIONS), INSTRUCTIONS)
    human = folder / HUMAN
    sources = Sources(chosen, instructions, human if os.path.lexists(human) else None)
    for file in sources.files:
        try:
            inside(file, folder)
        except Outside:
            raise EnvironmentSetupError(
                f"{file} is a link that leaves {folder}: name the folder that it points to"
            ) from None
        except Unreadable as error:
            raise EnvironmentSetupError(f"{file} {error}: check the file and its disk") from None
    return sources


def _named(folder: Path, kind: str) -> list[Path]:
    try:
        names = os.listdir(folder)
    except OSError as error:
        raise EnvironmentSetupError(f"{folder} cannot be listed ({error.strerror}): check its permissions") from None
    return sorted(folder / name for name in names if name.startswith(kind) and name.endswith(".json"))


def _one(folder: Path, files: list[Path], kind: str) -> Path:
    if not files:
        raise EnvironmentSetupError(f"{folder} holds no {kind}*.json: fetch it as WebShop's setup.sh does")
    if len(files) > 1:
        names = " and ".join(file.name for file in files[:4])
        raise EnvironmentSetupError(
            f"{folder} holds {names}: name the products to import, --from {files[0]}, beside files of the same ending"
            if kind == PRODUCTS
            else f"{folder} holds {names}: leave there the one that belongs to the products"
        )
    return files[0]


def identity(sources: Sources) -> list[dict[str, Any]]:
    """What tells these files from others: name, size, time of change, and a hash of their first megabyte."""
    described = []
    for file in sources.files:
        with _readable(file), open_regular(file) as content:
            status = os.fstat(content.fileno())
            head = hashlib.sha256(content.read(_HEAD)).hexdigest()
        described.append({"name": file.name, "bytes": status.st_size, "changed": status.st_mtime_ns, "head": head})
    return described


def read_list(file: Path, read: Callable[[int], None]) -> Iterator[tuple[str, Any]]:
    """("record 1", value), … of a file that holds a list. ``read`` is told how many bytes were read.

    Raises:
        DamagedFile: it is no JSON, no UTF-8, no list, empty or cut off; or a record is nested too deeply, longer than
            ``LARGEST_RECORD``, or holds a number beyond 64 bits or half of a surrogate pair.
    """
    for number, (_, value) in enumerate(_read(file, "[", read), start=1):
        yield f"record {number}", value


def read_mapping(file: Path, read: Callable[[int], None]) -> Iterator[tuple[str, Any]]:
    """(asin, value), … of a file that holds a mapping; otherwise as ``read_list``."""
    for key, value in _read(file, "{", read):
        assert key is not None
        yield key, value


def _read(file: Path, opening: str, read: Callable[[int], None]) -> Iterator[tuple[str | None, Any]]:
    """Key, if any, and value of each record; all that stands before a damage comes before its error."""
    import ijson

    events: Any = ijson.sendable_list()
    # No number of these files is read. An integer that Python refuses to make (4,300 digits) crashes the parser where
    # it makes Python's integers.
    parser = ijson.basic_parse_coro(events, use_float=True)
    records, halves, last, chunk, pending = Records(), HalfCharacters(), "", b" ", 0
    with _readable(file), open_regular(file) as content:
        _check_opening(file, content, opening)
        while chunk:
            chunk, problem = content.read(_CHUNK), None
            pending += len(chunk)
            half = halves.find(chunk)
            try:
                if chunk:
                    parser.send(chunk)
                else:
                    parser.close()
            except (ijson.JSONError, UnicodeDecodeError) as error:
                problem = error
            try:
                for key, value in () if half else records.of(events):
                    last, pending = f"record {records.count}" if key is None else f"asin {short(key)}", 0
                    yield key, value
            except TooDeep as error:
                raise DamagedFile(f"{file} is nested too deeply {_where(last)}") from error
            del events[:]
            if half:
                raise DamagedFile(f"{file} holds half of a surrogate pair ({half}) some way {_where(last)}")
            if problem is not None:
                raise DamagedFile(f"{file} {_what(problem, _where(last), bool(chunk))}") from problem
            if pending > LARGEST_RECORD:
                raise DamagedFile(f"{file} has more than {LARGEST_RECORD >> 20} MiB in one record, {_where(last)}")
            read(len(chunk))


def short(text: str) -> str:
    """A text of the file, for a sentence."""
    return repr(text if len(text) <= 40 else f"{text[:39]}…")


def _where(last: str) -> str:
    return f"after {last}" if last else "at its start"


def _check_opening(file: Path, content: BinaryIO, opening: str) -> None:
    """Whether the first character opens what the file should hold; reading starts at the beginning after it."""
    first = b" "
    while first.isspace():
        first = content.read(1)
    content.seek(0)
    if not first:
        raise DamagedFile(f"{file} is empty")
    if first != opening.encode():
        kind = "list" if opening == "[" else "mapping"
        begins = first.decode("ascii", "replace")
        raise DamagedFile(f"{file} does not hold a {kind} (it starts with {begins!r})")


def _what(error: Exception, where: str, more: bool) -> str:
    """The parser's complaint in our words; ``more`` says that the file goes on."""
    message = error.args[0] if error.args else ""
    text = message.decode(errors="replace") if isinstance(message, bytes) else str(message)
    if not more:
        return f"ends in the middle, {where}"
    if "utf" in text.lower():
        return f"is not UTF-8 {where}"
    if "overflow" in text:
        return f"holds a number beyond 64 bits {where}"
    reason = next(iter(text.strip().splitlines()), "no reason given").strip().rstrip(".")
    return f"is not JSON {where} ({reason})"


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    try:
        yield
    except Unreadable as error:
        raise EnvironmentSetupError(f"{file} {error}: check the file and its disk") from None
    except OSError as error:
        raise EnvironmentSetupError(f"{file} cannot be read ({error.strerror}): check the file and its disk") from error
