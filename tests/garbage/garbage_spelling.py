"""One tree of YAML, spelt in many ways."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

import mutations as m
import yaml

MARK = "zzmarkzz"


def block(tree: m.Tree, **options: Any) -> str:
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=10**6, **options)


def flow(tree: m.Tree) -> str:
    return json.dumps(tree, ensure_ascii=False) + "\n"


def _sized(tree: m.Tree, random: Random) -> bytes:
    """At the bound, now and then (a second's work); with many values otherwise."""
    text = block(tree).encode()
    if random.random() < 0.02:
        return text.ljust(1 << 20, b"#" if random.random() < 0.5 else b"\n")
    return text + b"\n".join([b"", *[b"# " + b"x" * 80] * 500])


def _written(tree: m.Tree, random: Random, indent: str) -> str:
    """Block style with every scalar in a spelling of its own."""
    lines = ""
    for key, value in tree.items():
        name = random.choice((key, json.dumps(key), f"'{key}'"))
        if isinstance(value, dict) and value:
            lines += f"{indent}{name}:\n{_written(value, random, indent + ' ' * random.randint(1, 6))}"
        elif isinstance(value, list) and value:
            items = "".join(f"{indent}- {scalar(item, random)}\n" for item in value)
            lines += f"{indent}{name}:\n{items}"
        else:
            lines += f"{indent}{name}:{' ' * random.randint(1, 9)}{scalar(value, random)}\n"
    return lines


def scalar(value: Any, random: Random) -> str:
    if isinstance(value, bool):
        return random.choice((str(value).lower(), str(value), str(value).upper()))
    if value is None:
        return random.choice(("null", "~", "Null", "NULL", ""))
    if isinstance(value, int):
        return random.choice((str(value), f"+{value}", f"{value:03}")) if value >= 0 else str(value)
    if isinstance(value, float):
        text = repr(value)
        return random.choice((text, f"{value:.17e}", f"{value:.17E}", text.removeprefix("0") if "." in text else text))
    if isinstance(value, str):
        quoted = "'" + value.replace("'", "''") + "'"
        plain = yaml.safe_dump(value, allow_unicode=True, width=10**6).removesuffix("\n").removesuffix("\n...")
        return random.choice((json.dumps(value, ensure_ascii=False), quoted, plain))
    return json.dumps(value, ensure_ascii=False)


def _commented(tree: m.Tree, random: Random) -> bytes:
    lines = block(tree).splitlines()
    shown = [f"{line}   # {random.choice(m.WORDS)}: {{[" if random.random() < 0.5 else line for line in lines]
    start = random.choice(("", "# first\n\n", "---\n", "%YAML 1.2\n---\n"))
    return (start + "\n# between\n".join(shown) + random.choice(("", "\n", "\n...\n", "\n# last"))).encode()


def _line_ends(tree: m.Tree, random: Random) -> bytes:
    text = block(tree).replace("\n", random.choice(("\r\n", "\r", "\n\n", " \n")))
    return random.choice(("", "\ufeff")).encode() + text.rstrip("\n").encode() + random.choice((b"", b"\n", b"\n\n\n"))


def _anchored(tree: m.Tree, random: Random) -> bytes:
    """A value that carries an anchor and stands for itself, as often as it occurs."""
    value = random.choice([value for _, value in m.leaves(tree) if isinstance(value, int | float | str)])
    others = [place for place, other in m.leaves(tree) if type(other) is type(value) and other == value]
    text = block(m.put(tree, others[0], MARK)).replace(MARK, f"&it {json.dumps(value, ensure_ascii=False)}")
    return text.encode()


WAYS: Mapping[str, Callable[[m.Tree, Random], bytes]] = {
    "order": lambda tree, random: block(m.shuffled(tree, random)).encode(),
    "flow": lambda tree, random: m.json_spelling(tree, random).replace("\t", " ").encode(),
    "mixed style": lambda tree, random: block(tree, default_flow_style=None, indent=random.randint(2, 7)).encode(),
    "scalars": lambda tree, random: _written(tree, random, "").encode(),
    "comments": _commented,
    "line ends": _line_ends,
    "anchors": _anchored,
    "size": _sized,
    "paired escapes": lambda tree, random: json.dumps(tree).encode(),
}
"""Kind of spelling → the same tree as a file."""
