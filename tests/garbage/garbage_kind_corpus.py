"""Corpora in JSON lines, packed or not, indexed by `sdar retriever build`."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import garbage_json as j
import mutations as m
from garbage_places import sparse
from harness import Call, Kind, Make, Outcome

LINES: list[dict[str, Any]] = [
    {"id": "0", "contents": '"Bell"\nBig Ben is old. größer 🦊'},
    {"id": "1", "contents": '"Rye"\nA town.', "more": [1, 2.5, None]},
    {"id": "2", "contents": '"東京"\n日本語'},
]


def lines(*changed: bytes | str) -> bytes:
    """The passages; those that are given take the places of the last."""
    whole = [json.dumps(line, ensure_ascii=False) for line in LINES]
    texts = [*whole[: len(whole) - len(changed)], *changed]
    return b"".join((t if isinstance(t, bytes) else t.encode("utf-8", "surrogatepass")) + b"\n" for t in texts)


def lay(folder: Path, content: bytes | None = None, name: str = "corpus.jsonl") -> Call:
    (folder / name).write_bytes(lines() if content is None else content)
    return Call(["retriever", "build", "--corpus", name, "--out", "new/index"], outputs=("new",))


def either_way(folder: Path, random: Random, content: bytes) -> Call:
    """As it is, or packed."""
    return lay(folder, content) if random.random() < 0.7 else lay(folder, gzip.compress(content), "corpus.jsonl.gz")


def plain(folder: Path, random: Random) -> Call:
    return lay(folder)


def read_back(outcome: Outcome) -> Any:
    """What was indexed, and what is found."""
    from sdar_cli.retriever.engine import Settings
    from sdar_cli.retriever.service import plan

    words = outcome.call.words
    index = outcome.folder / words[words.index("--out") + 1]
    service = plan(index, None, Settings(), lambda what: None)()  # type: ignore[arg-type, return-value]
    try:
        return outcome.out.split(b",")[0], [
            [passage["contents"] for passage, _ in found] for found in service.retrieve(["ben", "town", "日本語"], 3)
        ]
    finally:
        service.corpus.close()


def line(make: Callable[[Random], bytes | str], folder: Path, random: Random) -> Call:
    """One bad line, the last or one before it."""
    bad = make(random)
    rest = [json.dumps(LINES[2])] if random.random() < 0.5 else []
    return either_way(folder, random, lines(bad, *rest))


def _spliced(make: Callable[[Random], str], random: Random) -> str:
    at = random.choice((("contents",), ("contents",), ("more",), ("id",)))
    return m.spliced(LINES[1], at, make(random))


def _surrogate(random: Random) -> str:
    return _spliced(m.half_pair, random)


def _type(random: Random) -> str:
    return json.dumps(m.retyped(LINES[1], ("contents",), random))


def _size(random: Random) -> bytes:
    return b'{"contents": "' + b"x" * (16 << 20) + b'"}'


def _empty(random: Random) -> bytes:
    return random.choice((b"null", b"7", b'"words"', b"[]", b"[1, 2]", b"true", b"{}", b"\xef\xbb\xbf"))


def cut(folder: Path, random: Random) -> Call:
    """Within a line, or within what it is packed into."""
    if random.random() < 0.5:
        return lay(folder, m.cut(gzip.compress(lines()), random), "corpus.jsonl.gz")
    return either_way(folder, random, lines(m.cut(json.dumps(LINES[1]).encode(), random)))


def size(folder: Path, random: Random) -> Call:
    if random.random() < 0.1:
        return line(_size, folder, random)
    call = lay(folder)
    sparse(folder / "corpus.jsonl", 10 << 30)
    return call


def bomb(folder: Path, random: Random) -> Call:
    """A packed file of a line without end; one of zeros in thousands of lines takes a second."""
    letter = random.choice((b"\0", b" ", b"[", b"x", b'"'))
    data = b"".join(_packed(letter)) if random.random() < 0.9 else _packed_lines()
    return lay(folder, random.choice((b"", gzip.compress(lines()))) + data, "corpus.jsonl.gz")


_KEPT: dict[bytes, list[bytes]] = {}


def _packed(letter: bytes) -> list[bytes]:
    if letter not in _KEPT:
        _KEPT[letter] = [gzip.compress(letter * (17 << 20), 1)]
    return _KEPT[letter]


def _packed_lines() -> bytes:
    if b"\n" not in _KEPT:
        _KEPT[b"\n"] = [gzip.compress(lines() + (b" " * 60_000 + b"\n") * 2000)]
    return _KEPT[b"\n"][0]


def place(folder: Path, random: Random) -> Call:
    call = lay(folder)
    return j.displaced(call, folder / "corpus.jsonl", random)


def escape(folder: Path, random: Random) -> Call:
    """Names that are none; an index where something of the user's lies."""
    lay(folder)
    name = random.choice(
        ("~nobody_here/x", "n" * 300, "/dev/zero", "../x", "a\nb\x1b[2J", "caf\udce9.jsonl", "corpus.jsonl/x")
    )
    if name == "caf\udce9.jsonl":
        (folder / name).write_bytes(lines())
    taken = folder / random.choice(("taken", "größer"))
    taken.mkdir()
    (taken / "thesis.txt").write_text("years of work")
    words = random.choice(
        (
            ("--corpus", name, "--out", "new/index"),
            ("--corpus", "corpus.jsonl", "--out", random.choice((taken.name, "corpus.jsonl"))),
        )
    )
    return Call(["retriever", "build", *words])


def code(folder: Path, random: Random) -> Call:
    """Another format altogether."""
    data = random.choice(
        (b"\x80\x04cos\nsystem\n", b"PK\x03\x04", b"\x1f\x8b\x08\x00", b"id\tcontents\n0\tx\n", b"<xml>", b"PAR1")
    )
    return lay(
        folder,
        data + bytes(random.randrange(256) for _ in range(50)),
        random.choice(("corpus.jsonl", "corpus.jsonl.gz")),
    )


CONTENTS: dict[str, Callable[[Random], bytes | str]] = {
    "encoding": lambda random: m.not_utf8(json.dumps(LINES[0], ensure_ascii=False).encode(), random),
    "surrogate": _surrogate,
    "depth": partial(_spliced, m.nested),
    "number": partial(_spliced, m.odd_number),
    "type": _type,
    "missing": lambda random: json.dumps(m.without(LINES[1], ("contents",))),
    "misspelt": lambda random: json.dumps(m.misspelt(LINES[1], ("contents",), random)),
    "empty": _empty,
}
REFUSED: dict[str, Make] = {klass: partial(line, make) for klass, make in CONTENTS.items()}
REFUSED |= {"cut": cut, "size": size, "bomb": bomb, "place": place, "escape": escape, "code": code}
REFUSED["mixed"] = lambda folder, random: either_way(
    folder, random, lines(*(make(random) for make in random.sample(list(CONTENTS.values()), 2)))
)


# --- valid ---


def spelt(folder: Path, random: Random) -> Call:
    """Other JSON, line ends, blank lines, a mark."""
    texts = [_flat(m.json_spelling(line, random)) for line in LINES]
    end = random.choice(("\n", "\r\n"))
    blanks = (end * random.randrange(3) + " " * random.randrange(3) + end for _ in texts)
    content = "".join(text + end + random.choice(("", blank)) for text, blank in zip(texts, blanks, strict=True))
    content = content[: -len(end)] if random.random() < 0.2 and content.endswith("}" + end) else content
    return either_way(folder, random, (random.choice(("", "\ufeff")) + content).encode())


def _flat(text: str) -> str:
    return " ".join(text.split("\n")).replace("\r", " ").strip()


def packed(folder: Path, random: Random) -> Call:
    """In one piece or several."""
    pieces = [json.dumps(line).encode() + b"\n" for line in LINES]
    data = b"".join(gzip.compress(piece, random.randint(0, 9)) for piece in pieces)
    return lay(folder, random.choice((data, gzip.compress(b"".join(pieces)))), "größer 🦊.jsonl.gz")


def more(folder: Path, random: Random) -> Call:
    """Keys that are only handed on."""
    value = random.choice((1, 2**63 - 1, -(2**63), 1.5e300, None, True, [[[]]], {"a": {"b": 1}}, "\x00\x1b", "🦊"))
    content = [json.dumps(line | {random.choice((*m.WORDS, "x" * 500)): value}) for line in LINES]
    return either_way(folder, random, lines(*content))


def linked(folder: Path, random: Random) -> Call:
    lay(folder, name="kept")
    (folder / "corpus.jsonl").symlink_to(random.choice(("kept", folder / "kept")))
    out = random.choice(("new", "new/a/b", "./new/größer", str(folder / "new" / "x")))
    return Call(["retriever", "build", "--corpus", "corpus.jsonl", "--out", out], outputs=("new",))


KIND = Kind(
    "corpus",
    plain,
    REFUSED,
    {"spelling": spelt, "packed": packed, "more": more, "link": linked},
    read_back,
    {"flip": lambda folder, random: either_way(folder, random, m.flip(lines(), random))},
)
