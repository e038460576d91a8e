"""YAML files of ours, damaged and otherwise spelt: what recipes, spaces and profiles share."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import mutations as m
from garbage_places import denied, odd_place, sparse
from garbage_spelling import MARK, WAYS, block, flow
from harness import Call, Make

ODD_NUMBERS = (
    ".inf",
    "-.inf",
    ".nan",
    "1e999",
    "-1e999",
    "1" + "0" * 400,
    "9" * 5000,
    "0x10",
    "1_000",
    "-0.5",
    "1e400",
)
"""What no whole number of a recipe is."""
OTHER_TYPES = {
    int: ("'7'", "seven", "7.5", "true", "null", "[]", "[7]", "{}", "{a: 7}"),
    float: ("'0.5'", "half", "true", "null", "[]", "[0.5]", "{}", "{a: 1}", ".nan", ".inf"),
    str: ("7", "7.5", "true", "null", "[]", "[odd]", "{}", "{a: b}"),
    bool: ("1", "0", "yes", "'true'", "on", "null", "[]", "{}", "1.0"),
    list: ("7", "true", "{a: 1}", "7.5"),
    dict: ("7", "odd", "true", "[]", "[1]", "7.5"),
}
"""YAML of the other types, none of which a strict reader takes for the first."""


@dataclass(frozen=True, slots=True)
class YamlSample:
    """A file of YAML: its tree, where it can be damaged for certain, and the command that reads it."""

    tree: Callable[[Random], m.Tree]
    words: Callable[[str], list[str]]
    """The file's name → the command."""
    strict: Sequence[m.Keys]
    """Values that no other type replaces."""
    whole: Sequence[m.Keys]
    """Whole numbers that must be above 0 and of 32 bits."""
    required: Sequence[m.Keys]
    keyed: Sequence[m.Keys]
    """Values whose key has no other spelling."""
    sections: Sequence[m.Keys]
    """Mappings that take no further key."""
    texts: Sequence[m.Keys]
    """Values of text, any text."""
    name: str = "sample.yaml"
    lay: Callable[[Path], None] = lambda folder: None
    """Puts further files beside it."""
    nullable: Sequence[m.Keys] = ()

    def call(self, folder: Path, content: bytes | str, **more: Any) -> Call:
        self.lay(folder)
        (folder / self.name).write_bytes(content.encode() if isinstance(content, str) else content)
        return Call(self.words(self.name), **more)


def spliced(tree: m.Tree, at: m.Keys, raw: str, random: Random) -> str:
    """The file with ``raw`` as it is at that place, in block or flow style."""
    marked = m.put(tree, at, MARK)
    if random.random() < 0.5:
        return block(marked).replace(MARK, raw)
    return flow(marked).replace(json.dumps(MARK), raw)


def refused(sample: YamlSample) -> dict[str, Make]:
    """Every class that a file of YAML can be damaged in, whatever its keys mean."""
    classes = {
        "encoding": _encoding,
        "surrogate": _surrogate,
        "control": _control,
        "depth": _depth,
        "size": _size,
        "bomb": _bomb,
        "type": _type,
        "number": _number,
        "missing": _missing,
        "unknown": _unknown,
        "misspelt": _misspelt,
        "duplicate": _duplicate,
        "empty": _empty,
        "place": _place,
        "code": _code,
        "mixed": _mixed,
    }
    return {name: partial(_made, sample, make) for name, make in classes.items()}


def either(sample: YamlSample) -> dict[str, Make]:
    return {
        "cut": lambda folder, random: sample.call(
            folder, m.cut(block(sample.tree(random)).encode(), random), sentences=9
        ),
        "flip": lambda folder, random: sample.call(
            folder, m.flip(block(sample.tree(random)).encode(), random), sentences=9
        ),
    }


def _made(sample: YamlSample, make: Callable[..., Call], folder: Path, random: Random) -> Call:
    return make(sample, folder, random)


def _encoding(sample: YamlSample, folder: Path, random: Random) -> Call:
    return sample.call(folder, m.not_utf8(block(sample.tree(random)).encode(), random))


def _surrogate(sample: YamlSample, folder: Path, random: Random) -> Call:
    """By escape in a value, or in a key; by itself in the file."""
    tree, half = sample.tree(random), random.choice(('"\\ud800"', '"a\\uDFFFb"', '"\\udd8a\\ud83e"', '"\\U0000d800"'))
    if random.random() < 0.3:
        return sample.call(folder, f"{block(tree)}{half}: 1\n")
    return sample.call(folder, spliced(tree, random.choice(sample.texts), half, random))


def _control(sample: YamlSample, folder: Path, random: Random) -> Call:
    """A character in a value as it is, which YAML has not; or by escape in a key, which nothing has."""
    tree, letter = sample.tree(random), random.choice(m.CONTROL)
    if random.random() < 0.4:
        return sample.call(folder, f"{block(tree)}{json.dumps(f'a{letter}b')}: 1\n")
    letter = random.choice(("\x00", "\x01", "\x07", "\x1b", "\x7f", "\x9b", "\ufffe", "\uffff"))
    return sample.call(folder, spliced(tree, random.choice(sample.texts), f'"a{letter}b"', random))


def _depth(sample: YamlSample, folder: Path, random: Random) -> Call:
    depth = random.choice((25, 30, 100, 1000, 20_000, 100_000))
    at = random.choice(sample.texts)
    if random.random() < 0.3:
        depth = min(depth, 700)  # a block grows with its square
        text = "".join(f"{' ' * level}a:\n" for level in range(depth)) + " " * depth + "a: 1\n"
        return sample.call(folder, text)
    opening, closing = random.choice((("[", "]"), ("{a: ", "}")))
    raw = opening * depth + "1" + closing * depth * random.choice((0, 1, 1))
    return sample.call(folder, spliced(sample.tree(random), at, raw, random))


def _size(sample: YamlSample, folder: Path, random: Random) -> Call:
    text = block(sample.tree(random))
    which = random.randrange(4)
    if which == 0:
        call = sample.call(folder, text)
        sparse(folder / sample.name, random.choice(((1 << 20) + 1, 10 << 30, 1 << 40)))
        return call
    if which == 1:
        return sample.call(folder, text + "#" * ((1 << 20) + 1 - len(text.encode())))
    if which == 2:
        return sample.call(folder, text + "many: [" + "1, " * 20_001 + "]\n")
    return sample.call(folder, f"{text}{'k' * random.choice((5000, 900_000))}: 1\n")


def _bomb(sample: YamlSample, folder: Path, random: Random) -> Call:
    """Anchors that stand for a million values, or for themselves."""
    if random.random() < 0.3:
        raw = random.choice(("&a [*a]", "&a {b: *a}", "[&a [1, *a]]"))
        return sample.call(folder, spliced(sample.tree(random), random.choice(sample.texts), raw, random))
    width, levels = random.choice(((10, 6), (100, 3), (2, 20)))
    lines = ["a0: &a0 [x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * width)}]" for level in range(1, levels + 1)]
    return sample.call(folder, "\n".join([*lines, block(sample.tree(random))]))


def _type(sample: YamlSample, folder: Path, random: Random) -> Call:
    tree, at = sample.tree(random), random.choice(sample.strict)
    raws = OTHER_TYPES[type(m.get(tree, at))]
    if at in sample.nullable:
        raws = tuple(raw for raw in raws if raw != "null")
    return sample.call(folder, spliced(tree, at, random.choice(raws), random), sentences=9, about=_named(at))


def _number(sample: YamlSample, folder: Path, random: Random) -> Call:
    at = random.choice(sample.whole)
    return sample.call(folder, spliced(sample.tree(random), at, random.choice(ODD_NUMBERS), random), about=_named(at))


def _missing(sample: YamlSample, folder: Path, random: Random) -> Call:
    return sample.call(folder, block(m.without(sample.tree(random), random.choice(sample.required))), sentences=9)


def _unknown(sample: YamlSample, folder: Path, random: Random) -> Call:
    tree = m.with_unknown(sample.tree(random), random.choice(sample.sections), random)
    return sample.call(folder, random.choice((block, flow))(tree))


def _misspelt(sample: YamlSample, folder: Path, random: Random) -> Call:
    tree = m.misspelt(sample.tree(random), random.choice(sample.keyed), random)
    return sample.call(folder, random.choice((block, flow))(tree), sentences=2)


def _duplicate(sample: YamlSample, folder: Path, random: Random) -> Call:
    tree = sample.tree(random)
    if random.random() < 0.5:
        return sample.call(folder, block(tree) + block({name: tree[name] for name in [random.choice(list(tree))]}))
    return sample.call(folder, m.twice(tree, random.choice(sample.keyed), random))


def _empty(sample: YamlSample, folder: Path, random: Random) -> Call:
    contents = (b"7", b"words", b"[]", b"[1, 2]", b"true", b"- a\n- b\n", b"'null'", b"1.5", b"--- |\n text\n")
    return sample.call(folder, random.choice(contents))


def _place(sample: YamlSample, folder: Path, random: Random) -> Call:
    path = folder / sample.name
    if random.random() < 0.2:
        return sample.call(
            folder, block(sample.tree(random)), within=lambda: denied(path), put="denied", about=sample.name
        )
    sample.lay(folder)
    put, named = odd_place(path, random)
    shown = {"long name": "n" * 99, "long path": "d" * 99}.get(put, sample.name)
    return Call(sample.words(str(named.relative_to(folder))), put=put, about=shown)


def _code(sample: YamlSample, folder: Path, random: Random) -> Call:
    raw = random.choice(
        (
            "!!python/object/apply:os.system ['touch owned']",
            "!!python/name:os.system",
            "!!python/object/new:subprocess.Popen [[touch, owned]]",
            "!!timestamp 2001-12-14",
            "!!binary aGVsbG8=",
            "!include /etc/passwd",
            "!!str words",
            "!<tag:yaml.org,2002:set> {a, b}",
        )
    )
    return sample.call(folder, spliced(sample.tree(random), random.choice(sample.texts), raw, random))


def _mixed(sample: YamlSample, folder: Path, random: Random) -> Call:
    """Two at once; bytes that are no UTF-8 behind whatever else."""
    first = random.choice((_type, _number, _unknown, _misspelt, _duplicate, _bomb, _depth))(sample, folder, random)
    path = folder / sample.name
    if random.random() < 0.5:
        path.write_bytes(m.not_utf8(path.read_bytes(), random))
    else:
        path.write_bytes(path.read_bytes() + b"\nzzz: 1\nqqq: {\n")
    return replace(first, about=None)


def _named(at: m.Keys) -> str:
    """The key as a sentence names it: that of a list for what is in it, and ``tracking.tags`` for a tag."""
    named = ".".join(key for key in at if isinstance(key, str))
    return f": {'tracking.tags' if named.startswith('tracking.tags.') else named} "


def spellings(sample: YamlSample) -> dict[str, Make]:
    """Valid variants of the sample."""

    def made(way: Callable[[m.Tree, Random], bytes], folder: Path, random: Random) -> Call:
        return sample.call(folder, way(sample.tree(random), random))

    return {name: partial(made, way) for name, way in WAYS.items()}
