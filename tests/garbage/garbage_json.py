"""One file of JSON among those that a command reads: damaged in every named way, and otherwise spelt."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import mutations as m
from garbage_places import PLACES, sparse
from harness import Call, Make


@dataclass(frozen=True, slots=True)
class JsonSample:
    """The file's tree, what lays the files, and where damage is certain."""

    tree: m.Tree
    lay: Callable[[Path], Call]
    """Lays all files whole; the command that reads them."""
    file: str
    """The file's path below the folder."""
    most: int
    """Bytes that it may have."""
    texts: Sequence[m.Keys]
    """Texts that are read."""
    strict: Sequence[m.Keys]
    """Values that no other type replaces."""
    numbers: Sequence[m.Keys] = ()
    """Values that no odd number replaces (default: the strict ones)."""
    required: Sequence[m.Keys] = ()
    keyed: Sequence[m.Keys] = ()
    """Values whose key has no other spelling."""
    sections: Sequence[m.Keys] = ()
    """Mappings that take no further key."""
    doubles: Sequence[m.Keys] = ()
    """Keys that may not stand twice."""
    without: frozenset[str] = frozenset()
    """Places that are no damage here."""
    spoil: Callable[[Path], Any] = lambda folder: None
    """What is left to do before a refusal."""

    def call(self, folder: Path, content: bytes | str) -> Call:
        call = self.lay(folder)
        file = folder / self.file
        file.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
        self.spoil(folder)
        return call


def refused(sample: JsonSample) -> dict[str, Make]:
    made: dict[str, Callable[[JsonSample, Random], bytes | str]] = {
        "cut": lambda s, random: m.cut(_text(s).encode(), random),
        "encoding": lambda s, random: m.not_utf8(_text(s).encode(), random),
        "surrogate": lambda s, random: m.spliced(s.tree, random.choice(s.texts), m.half_pair(random)),
        "depth": _depth,
        "type": lambda s, random: json.dumps(m.retyped(s.tree, random.choice(s.strict), random)),
        "number": lambda s, random: m.spliced(s.tree, random.choice(s.numbers or s.strict), m.odd_number(random)),
        "empty": lambda s, random: m.nothing(random),
    }
    if sample.required:
        made["missing"] = lambda s, random: json.dumps(m.without(s.tree, random.choice(s.required)))
    if sample.sections:
        made["unknown"] = lambda s, random: json.dumps(m.with_unknown(s.tree, random.choice(s.sections), random))
    if sample.keyed:
        made["misspelt"] = lambda s, random: json.dumps(m.misspelt(s.tree, random.choice(s.keyed), random))
    if sample.doubles:
        made["duplicate"] = lambda s, random: m.twice(s.tree, random.choice(s.doubles), random)
    made["mixed"] = partial(_mixed, tuple(made.values()))
    found: dict[str, Make] = {klass: partial(_made, sample, make) for klass, make in made.items()}
    return found | {"size": partial(_size, sample), "place": partial(_place, sample)}


def either(sample: JsonSample) -> dict[str, Make]:
    return {"flip": lambda folder, random: sample.call(folder, m.flip(_text(sample).encode(), random))}


def accepted(sample: JsonSample, bom: bool = True) -> dict[str, Make]:
    def spelt(folder: Path, random: Random) -> Call:
        return sample.call(folder, m.json_spelling(sample.tree, random))

    def marked(folder: Path, random: Random) -> Call:
        return sample.call(folder, b"\xef\xbb\xbf" + m.json_spelling(sample.tree, random).encode())

    def padded(folder: Path, random: Random) -> Call:
        text = m.json_spelling(sample.tree, random).encode()
        room = min(sample.most, 1 << 18) - len(text)
        before = random.randrange(room)
        return sample.call(folder, b" " * before + text + b"\n" * (room - before))

    def linked(folder: Path, random: Random) -> Call:
        """A link that stays within the folder."""
        call = sample.call(folder, m.json_spelling(sample.tree, random))
        file = folder / sample.file
        target = file.with_name(f"{random.choice('abc')}.kept")
        file.rename(target)
        file.symlink_to(random.choice((target.name, target.absolute())))
        return call

    return {"spelling": spelt, "size": padded, "link": linked} | ({"mark": marked} if bom else {})


@contextlib.contextmanager
def denied(name: str) -> Iterator[None]:
    """Opening a file of that name fails for want of permission, from whatever folder."""
    real = os.open

    def refuse(path: Any, *rest: Any, **more: Any) -> int:
        if isinstance(path, str | bytes | os.PathLike) and os.path.basename(os.fsdecode(path)) == name:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fsdecode(path))
        return real(path, *rest, **more)

    with mock.patch("os.open", refuse):
        yield


def silent(call: Call, *printers: str) -> Call:
    """The call without what it prints before it refuses, such as the counts of what could be read."""

    @contextlib.contextmanager
    def within() -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            stack.enter_context(call.within())
            for printer in printers:
                stack.enter_context(mock.patch(printer))
            yield

    return replace(call, within=within)


def displaced(call: Call, file: Path, random: Random, without: frozenset[str] = frozenset()) -> Call:
    """The call, with something else in the file's place."""
    names = ("folder", "pipe", "socket", "device", "dangling link", "loop", "missing", "denied")
    kind = random.choice([name for name in names if name not in without])
    if kind == "denied":

        @contextlib.contextmanager
        def within() -> Iterator[None]:
            with call.within(), denied(file.name):
                yield

        return replace(call, within=within, put=kind, about=file.name)
    file.unlink()
    if kind != "missing":
        PLACES[kind](file)
    return replace(call, put=kind)


def _text(sample: JsonSample) -> str:
    return json.dumps(sample.tree, ensure_ascii=False)


def _made(sample: JsonSample, make: Any, folder: Path, random: Random) -> Call:
    return sample.call(folder, make(sample, random))


def _depth(sample: JsonSample, random: Random) -> str:
    return m.spliced(sample.tree, random.choice(sample.texts), m.nested(random))


def _size(sample: JsonSample, folder: Path, random: Random) -> Call:
    text = _text(sample).encode()
    if sample.most < 1 << 22 and random.random() < 0.7:
        return sample.call(folder, text + b" " * (sample.most + 1 - len(text)))
    call = sample.call(folder, text)
    sparse(folder / sample.file, 10 << 30)
    return call


def _place(sample: JsonSample, folder: Path, random: Random) -> Call:
    call = sample.call(folder, _text(sample))
    return displaced(call, folder / sample.file, random, sample.without)


def _mixed(makes: Sequence[Any], sample: JsonSample, random: Random) -> bytes:
    """Damage of one kind, and bytes that are no text behind it."""
    content = random.choice(makes)(sample, random)
    content = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    return content + random.choice((b"\xff", b"}", b"\x00", b"\xc0\x80", b"]]"))
