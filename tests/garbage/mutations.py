"""Damage with a name, for texts and for trees of JSON (what may lie at a path: ``garbage_places``).

A function that is said to damage does so for certain. What it returns depends on ``random`` alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from random import Random
from typing import Any

Keys = tuple[str | int, ...]
"""Where a value stands in a tree."""
Tree = Any

CONTROL = (
    "\x00",
    "\x07",
    "\x08",
    "\x0b",
    "\x1b",
    "\x1b]0;owned\x07",
    "\x1b[2J",
    "\x7f",
    "\x85",
    "\x9b31m",
    "\x9d0;x\x9c",
)
BIDI = ("\u202e", "\u2066", "\u200b", "\u2028", "\u2029", "\ufeff", "\U000e0041", "\u00ad")
WORDS = ("größer", "日本語", "naïve", "Ω", "🦊", "שלום", "e\u0301", "a b", "ǅ")
"""Harmless words beyond ASCII."""
NUMBERS = ("1e999", "-1e999", "NaN", "Infinity", "-Infinity", "1" + "0" * 400, "9" * 5000)
"""JSON (as Python's ``json`` reads it) that no measure and no count is; the last has too many digits for ``int``."""


# Bytes


def cut(data: bytes, random: Random) -> bytes:
    """The first bytes, of a text that has no valid beginning but the whole (not for texts of lines)."""
    return data[: random.randrange(1, len(data))]


def flip(data: bytes, random: Random) -> bytes:
    """One to eight bits turned; nothing is known of the result."""
    damaged = bytearray(data)
    for _ in range(random.randint(1, 8)):
        damaged[random.randrange(len(damaged))] ^= 1 << random.randrange(8)
    return bytes(damaged)


def not_utf8(data: bytes, random: Random) -> bytes:
    """The text with something in it that is not UTF-8: latin-1, overlong forms, halves of pairs, UTF-16."""
    if random.random() < 0.2:
        return b"\xff\xfe" + data.decode().encode("utf-16-le")
    bad = random.choice(
        (b"\xe9", b"\xc0\x80", b"\xc1\xbf", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf5\x80\x80\x80", b"\x80", b"\xff")
    )
    place = random.choice([0, len(data), random.randrange(len(data))])
    while 0 < place < len(data) and data[place] & 0xC0 == 0x80:
        place -= 1
    return data[:place] + bad + data[place:]


# JSON


def leaves(tree: Tree, at: Keys = ()) -> Iterator[tuple[Keys, Any]]:
    """Where each value stands that holds no others, and what it is."""
    parts = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    if not parts:
        yield at, tree
    for key, value in parts:
        yield from leaves(value, (*at, key))


def maps(tree: Tree, at: Keys = ()) -> Iterator[Keys]:
    """Where each mapping with keys stands."""
    if isinstance(tree, dict) and tree:
        yield at
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield from maps(value, (*at, key))


def get(tree: Tree, at: Keys) -> Any:
    for key in at:
        tree = tree[key]
    return tree


def put(tree: Tree, at: Keys, value: Any) -> Tree:
    """A copy of the tree with another value at that place."""
    if not at:
        return value
    copy = deepcopy(tree)
    get(copy, at[:-1])[at[-1]] = value
    return copy


def without(tree: Tree, at: Keys) -> Tree:
    copy = deepcopy(tree)
    del get(copy, at[:-1])[at[-1]]
    return copy


def other_types(value: Any) -> list[Any]:
    """One value of each of the other types of JSON, no two of which a strict reader takes for one another."""
    samples: list[Any] = [None, True, 7, 7.5, "odd", [], {}, ["odd"], {"odd": 1}]
    kind = type(value)
    return [sample for sample in samples if type(sample) is not kind and not (kind is float and type(sample) is int)]


def retyped(tree: Tree, at: Keys, random: Random) -> Tree:
    return put(tree, at, random.choice(other_types(get(tree, at))))


def misspelt(tree: Tree, at: Keys, random: Random) -> Tree:
    """The key at that place with a letter too many, in its old order."""
    parent, name = get(tree, at[:-1]), str(at[-1])
    place = random.randrange(len(name) + 1)
    wrong = name[:place] + random.choice("qxz_") + name[place:]
    return put(tree, at[:-1], {wrong if key == at[-1] else key: value for key, value in parent.items()})


def with_unknown(tree: Tree, at: Keys, random: Random) -> Tree:
    """The mapping at that place with a key that nothing has."""
    name = random.choice(("zzz", "qqq_qqq", "日本", "__class__", "x" * 300, "zz zz", "🦊"))
    return put(tree, at, {**get(tree, at), name: random.choice((1, "x", None, [], {}))})


_MARK = "zzmarkzz"


def spliced(tree: Tree, at: Keys, raw: str, **options: Any) -> str:
    """The JSON text with ``raw`` written at that place as it is: what no value of Python stands for."""
    return json.dumps(put(tree, at, _MARK), **options).replace(json.dumps(_MARK), raw)


def odd_number(random: Random) -> str:
    return random.choice(NUMBERS)


def half_pair(random: Random) -> str:
    """A JSON string with half of a surrogate pair."""
    return random.choice(('"\\ud800"', '"a\\udfffb"', '"\\ud800\\ud800"', '"\\udc00\\ud800"'))


def nested(random: Random, shallowest: int = 1000) -> str:
    """Lists or mappings in one another, closed or not."""
    depth = random.choice((shallowest, 10 * shallowest, 100_000))
    opening, closing = random.choice((("[", "]"), ('{"a":', "}")))
    return opening * depth + "1" + closing * depth * random.choice((0, 1))


def twice(tree: Tree, at: Keys, random: Random) -> str:
    """The JSON text in which the key at that place stands twice."""
    parent = get(tree, at[:-1])
    key, value = json.dumps(at[-1]), json.dumps(parent[at[-1]])
    pairs = [f"{json.dumps(name)}: {json.dumps(item)}" for name, item in parent.items()]
    pairs.insert(random.randrange(len(pairs) + 1), f"{key}: {value}")
    return spliced(tree, at[:-1], "{" + ", ".join(pairs) + "}") if at[:-1] else "{" + ", ".join(pairs) + "}"


def nothing(random: Random) -> bytes:
    """No mapping and no record, in a text that is not damaged otherwise."""
    return random.choice(
        (b"", b"\xef\xbb\xbf", b"\n\n", b"null", b"7", b'"words"', b"[]", b"[1, 2]", b"true", b"  \t\n")
    )


def json_spelling(tree: Tree, random: Random) -> str:
    """The same value as JSON: other white space, key order and escapes."""
    text = json.dumps(
        shuffled(tree, random),
        ensure_ascii=random.random() < 0.5,
        indent=random.choice((None, 0, 1, 4)),
        separators=random.choice((None, (",", ":"), (" , ", " : "))),
    )
    if random.random() < 0.3:
        text = _escaped(text)
    return random.choice(("", "\n", " \r\n")) + text + random.choice(("", "\n", "\r\n\t"))


def shuffled(tree: Tree, random: Random) -> Tree:
    """The tree with its mappings in another order."""
    if isinstance(tree, dict):
        return {key: shuffled(tree[key], random) for key in random.sample(list(tree), len(tree))}
    return [shuffled(item, random) for item in tree] if isinstance(tree, list) else tree


def _escaped(text: str) -> str:
    """JSON with every letter of its strings written as a number."""
    parts, quoted, place = [], False, 0
    while place < len(text):
        letter = text[place]
        place += 1
        if quoted and letter == "\\":
            length = 5 if text[place] == "u" else 1
            parts.append(letter + text[place : place + length])
            place += length
            continue
        quoted ^= letter == '"'
        parts.append(f"\\u{ord(letter):04x}" if quoted and letter.isascii() and letter.isalpha() else letter)
    return "".join(parts)
