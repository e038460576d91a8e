"""YAML to plain values, strictly: the core schema's scalars, no tags, no duplicate keys, bounded work.

Differs from PyYAML's safe loader where that one surprises: ``1e-6`` is a number, ``on`` and ``yes`` are
words, a date is a word, and a key that stands twice is refused instead of winning silently. No text holds a control
character or half of a surrogate pair, by escape or otherwise.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdar_cli.errors import RecipeError
from sdar_cli.reading import Missing, Unreadable, read_text

MAX_BYTES = 1 << 20
MAX_DEPTH = 24
MAX_NODES = 20_000
MAX_KEY = 200
"""Letters of a key."""
NAMES = ("tracking.tags",)
"""Sections whose keys are names of someone else's, in which a dot is a letter."""

_NULL = re.compile(r"(?:~|null|Null|NULL|)\Z")
_BOOL = re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z")
_INT = re.compile(r"[-+]?[0-9]{1,32}\Z")
_FLOAT = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?\Z")
_SPECIAL = re.compile(r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file: its value, and the line (from 1) of every dotted key in it."""

    value: Any
    lines: dict[str, int]


def read_file(path: Path, *, dotted_keys: bool = False) -> Document:
    """Parse a YAML file of at most 1 MiB; ``dotted_keys``: whether a key may hold dots.

    Raises:
        RecipeError: the file is missing, unreadable, too large or not the YAML described above.
    """
    try:
        text = read_text(path, MAX_BYTES)
    except Missing:
        raise RecipeError(f"{path} does not exist: check the path") from None
    except Unreadable as error:
        raise RecipeError(f"{path} {error}: give the path of a readable .yaml file") from None
    return parse(text, str(path), dotted_keys=dotted_keys)


def parse(text: str, source: str, *, at: str = "", dotted_keys: bool = False) -> Document:
    """Parse YAML text; ``source`` names it in errors, and ``at`` is the dotted key that it is the value of."""
    import yaml

    try:
        node = _compose(text, source)
    except yaml.YAMLError as error:
        raise RecipeError(f"{source}{_place(error)} is not valid YAML ({_problem(error)}): correct that line") from None
    except (RecursionError, ValueError) as error:
        raise RecipeError(f"{source} is not valid YAML ({error}): rewrite the file") from None
    builder = _Builder(source, dotted_keys)
    return Document(None if node is None else builder.build(node, at, 0), builder.lines)


def scalar(text: str) -> Any:
    """The value of a plain (unquoted) scalar under YAML 1.2's core schema."""
    if _NULL.match(text):
        return None
    if _BOOL.match(text):
        return text[0] in "tT"
    if _INT.match(text):
        return int(text)
    if _FLOAT.match(text):
        return float(text)
    if _SPECIAL.match(text):
        return float(text.replace(".", "", 1))
    return text


def _compose(text: str, source: str) -> Any:
    """The node graph; refuses tags, and too deep or too large documents, before anything recursive touches them."""
    import yaml

    class Loader(yaml.SafeLoader):
        depth = documents = count = 0

        def get_event(self) -> Any:
            event = super().get_event()
            if getattr(event, "tag", None) is not None:
                line = event.start_mark.line + 1
                raise RecipeError(f"{source}:{line} uses the YAML tag {event.tag!r}: recipes have no tags, remove it")
            self.count += 1
            self.depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            self.documents += isinstance(event, yaml.DocumentStartEvent)
            if self.documents > 1:
                raise RecipeError(f"{source} holds more than one YAML document: keep one, without further '---' lines")
            if self.depth > MAX_DEPTH:
                raise RecipeError(f"{source} is nested deeper than {MAX_DEPTH} levels: no recipe is, flatten it")
            if self.count > MAX_NODES:
                raise RecipeError(f"{source} holds more than {MAX_NODES} values: no recipe does, shorten it")
            return event

    loader = Loader(text)
    try:
        return loader.get_single_node()
    finally:
        loader.dispose()


class _Builder:
    """Node graph to values. Aliases are followed, and every visit counts towards ``MAX_NODES``."""

    def __init__(self, source: str, dotted_keys: bool) -> None:
        self.source, self.dotted_keys = source, dotted_keys
        self.lines: dict[str, int] = {}
        self.visits = 0

    def build(self, node: Any, key: str, depth: int) -> Any:
        import yaml

        self.visits += 1
        line = node.start_mark.line + 1
        if self.visits > MAX_NODES or depth > MAX_DEPTH:
            raise RecipeError(f"{self.source}:{line} repeats itself through anchors too often: write the values out")
        if isinstance(node, yaml.ScalarNode):
            text = self._text(node.value, line)
            return scalar(text) if node.style is None else text
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, f"{key}[{index}]", depth + 1) for index, item in enumerate(node.value)]
        return self._mapping(node, key, depth)

    def _mapping(self, node: Any, key: str, depth: int) -> dict[str, Any]:
        import yaml

        result: dict[str, Any] = {}
        for name_node, value_node in node.value:
            line = name_node.start_mark.line + 1
            if not isinstance(name_node, yaml.ScalarNode) or not name_node.value:
                raise RecipeError(f"{self.source}:{line} has a key that is not a word: keys of a recipe are words")
            name = self._text(name_node.value, line)
            if len(name) > MAX_KEY:
                raise RecipeError(
                    f"{self.source}:{line} has a key of {len(name)} letters: no key is that long, remove it"
                )
            if "." in name and not self.dotted_keys and key not in NAMES:
                raise RecipeError(f"{self.source}:{line} has the key {name!r}: write it as keys within a section")
            if name in result:
                raise RecipeError(f"{self.source}:{line} has the key {name!r} twice: remove one of them")
            dotted = f"{key}.{name}" if key else name
            self.lines.setdefault(dotted, line)
            result[name] = self.build(value_node, dotted, depth + 1)
        return result

    def _text(self, text: str, line: int) -> str:
        """A scalar's text, with escaped surrogate pairs (which JSON has) as the letters that they are."""
        found = _CONTROL.search(text)
        if found is not None and "\ud800" <= found[0] <= "\udfff":
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
            found = _CONTROL.search(text)
        if found is not None:
            raise RecipeError(
                f"{self.source}:{line} holds the character U+{ord(found[0]):04X}, which no text has: remove it"
            )
        return text


def _place(error: Any) -> str:
    mark = getattr(error, "problem_mark", None)
    return f":{mark.line + 1}" if mark is not None else ""


def _problem(error: Any) -> str:
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "unreadable"
    return " ".join(str(problem).split())
