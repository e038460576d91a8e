"""One skill: a markdown file with YAML front matter.

    ---
    name: heat
    description: Where things are heated.
    task_types: [pick_heat_then_place_in_recep]
    keywords: [heat, warm]
    ---
    To heat a thing, carry it to the microwave and use `heat`.

``task_types: []`` makes a skill general. ``name`` may be left out: the file's stem is taken. In a bank with
a ``skill_mapping.json`` the front matter may be missing: name and task types stand in the mapping.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import yaml

from sdar_cli.errors import SkillError
from sdar_cli.skills.words import words
from sdar_cli.visible import UNSEEN

MAX_FILE_BYTES = 64 * 1024
MAX_FRONT_MATTER_CHARACTERS = 8 * 1024
MAX_LINE = 500
MAX_BRACKETS = 24

_KEYS = ("name", "description", "task_types", "keywords")
_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(?P<head>.*?)^---[ \t]*(?:\n|\Z)(?P<body>.*)\Z", re.DOTALL | re.MULTILINE)
_CONTROL = re.compile(UNSEEN)
_CHAT_MARKER = re.compile(r"<\|[^|<>\s]{1,40}\|>")


@dataclass(frozen=True, slots=True)
class Skill:
    """A skill; ``body`` is what the teacher reads, the rest is for retrieval and tables."""

    name: str
    description: str
    task_types: tuple[str, ...]
    keywords: tuple[str, ...]
    body: str

    @property
    def general(self) -> bool:
        """A skill for every task: it lists no task type."""
        return not self.task_types


def parse_skill(text: str, *, where: str, stem: str) -> Skill:
    """The skill written in ``text``; ``where`` names the file in errors.

    Raises SkillError, one sentence naming the file and the key.
    """
    head, body = _split(text, where)
    if head is None:
        raise SkillError(f"{where} has no front matter: begin it with {', '.join(_KEYS)} between two lines of '---'")
    values = _front_matter(head, where)
    name = _line(values, "name", where, default=stem)
    _check_body(body, where)
    return Skill(
        name=name,
        description=_line(values, "description", where),
        task_types=_list(values, "task_types", where),
        keywords=_keywords(values, where),
        body=body,
    )


def parse_mapped_skill(
    text: str, *, where: str, name: str, task_types: tuple[str, ...], keywords: tuple[str, ...]
) -> Skill:
    """The skill of a file whose name and task types a mapping gives; front matter may be missing.

    Without front matter, or without ``description`` in it, the first line describes the skill. Its
    ``keywords`` are added to those of the mapping. Raises SkillError as ``parse_skill`` does.
    """
    head, body = _split(text, where)
    values = {} if head is None else _front_matter(head, where)
    for key in ("name", "task_types"):
        if key in values:
            raise SkillError(f"{where} has '{key}', which the bank's mapping gives: remove it from the front matter")
    _check_body(body, where)
    return Skill(
        name=name,
        description=_line(values, "description", where, default=_first_line(body, name)),
        task_types=task_types,
        keywords=tuple(dict.fromkeys((*keywords, *_keywords(values, where)))),
        body=body,
    )


def is_line(text: object) -> bool:
    """Whether this is text of one printable line, not blank and not long: a name, a task type, a keyword."""
    return isinstance(text, str) and bool(text.strip()) and len(text) <= MAX_LINE and text.strip().isprintable()


def _split(text: str, where: str) -> tuple[str | None, str]:
    """Front matter, None where there is none, and what follows it."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_FILE_BYTES:
        raise SkillError(f"{where} is larger than {MAX_FILE_BYTES // 1024} KiB: shorten it, a skill is a few lines")
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    match = _FRONT_MATTER.match(text)
    return (None, text.strip()) if match is None else (match["head"], match["body"].strip())


def _check_body(body: str, where: str) -> None:
    if not body:
        raise SkillError(f"{where} has no text: write what the skill says, or delete the file")
    if found := _CONTROL.search(body):
        raise SkillError(
            f"{where} holds the control character U+{ord(found[0]):04X}, which nobody sees: remove it from the text"
        )
    if found := _CHAT_MARKER.search(body):
        raise SkillError(f"{where} holds {found[0]!r}, which chat templates read as a marker: remove it from the text")


def _first_line(body: str, name: str) -> str:
    """The first line that says something, without the marks of a heading; else ``name``."""
    for line in body.splitlines():
        plain = "".join(c for c in " ".join(line.strip("#").split()) if c.isprintable()).strip()
        if words(plain):
            return plain if len(plain) <= 120 else plain[:119] + "…"
    return name


class _Loader(yaml.SafeLoader):
    """Safe, without aliases, and strict about duplicate keys."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.constructor.ConstructorError(None, None, "an alias", event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        if not isinstance(node, yaml.MappingNode):  # as a tag can claim
            raise yaml.constructor.ConstructorError(None, None, "a mapping that is none", node.start_mark)
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value.__class__ is str and key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key.value!r} twice", key.start_mark)
            if key.value.__class__ is str:
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _front_matter(head: str, where: str) -> dict[str, Any]:
    if len(head) > MAX_FRONT_MATTER_CHARACTERS:
        raise SkillError(
            f"{where} has front matter over {MAX_FRONT_MATTER_CHARACTERS} characters: move text to the body"
        )
    if _brackets(head) > MAX_BRACKETS:  # the parser's time grows with their square
        raise SkillError(f"{where} has front matter that is nested too deeply: write one 'key: value' a line")
    try:
        values = yaml.load(head, Loader=_Loader)  # a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 2 if error.problem_mark else 1
        problem = error.problem if error.problem else "something that is not YAML"
        raise SkillError(
            f"{where} line {line} has front matter that cannot be read ({problem}): mend the YAML"
        ) from None
    except (yaml.YAMLError, ValueError, RecursionError, ArithmeticError, AttributeError, LookupError, TypeError):
        # The last four come from values that are not what their tag says, such as !!timestamp x.
        raise SkillError(f"{where} has front matter that is not readable YAML: write one 'key: value' a line") from None
    if not isinstance(values, dict):
        raise SkillError(f"{where} has front matter that is not a mapping: write one 'key: value' a line")
    for key in values:
        if key not in _KEYS:
            raise SkillError(f"{where} has the unknown key {_show(key)}: {_suggest(key)}")
    return values


def _brackets(text: str) -> int:
    """How many brackets are open at once, at most; those of quoted text count as well."""
    most = depth = 0
    for letter in text:
        if letter in "[{":
            depth += 1
            most = max(most, depth)
        elif letter in "]}" and depth:
            depth -= 1
    return most


def _suggest(key: object) -> str:
    near = difflib.get_close_matches(str(key)[:100], _KEYS, n=1)
    return f"did you mean '{near[0]}'?" if near else f"the keys are {', '.join(_KEYS)}"


def _show(value: object) -> str:
    text = repr(value) if isinstance(value, str | int | float | bool | None) else f"a {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."


def _line(values: dict[str, Any], key: str, where: str, default: str | None = None) -> str:
    if key not in values and default is None:
        raise SkillError(f"{where} has no '{key}': add a line '{key}: ...' to its front matter")
    value = values.get(key, default)
    if not isinstance(value, str) or not value.strip():
        raise SkillError(f"{where} has '{key}' = {_show(value)}: write a line of text, in quotes if it is a number")
    if not is_line(value):
        raise SkillError(
            f"{where} has a '{key}' that is longer than a line, or not to be printed: keep it under {MAX_LINE} "
            "characters on one line"
        )
    return value.strip()


def _list(values: dict[str, Any], key: str, where: str) -> tuple[str, ...]:
    if key not in values:
        raise SkillError(f"{where} has no '{key}': add '{key}: [...]' to its front matter, empty for a general skill")
    value = values[key]
    if not isinstance(value, list):
        raise SkillError(f"{where} has '{key}' = {_show(value)}: write a list, '{key}: [one, two]'")
    for item in value:
        if not isinstance(item, str) or not item.strip():
            raise SkillError(f"{where} has {_show(item)} in '{key}': write words there, in quotes if they are numbers")
        if not is_line(item):
            raise SkillError(
                f"{where} has a line in '{key}' that is too long or not to be printed ({_show(item)}): write a word"
            )
    return tuple(dict.fromkeys(item.strip() for item in value))


def _keywords(values: dict[str, Any], where: str) -> tuple[str, ...]:
    keywords = _list({"keywords": [], **values}, "keywords", where)
    for keyword in keywords:
        if not words(keyword):
            raise SkillError(
                f"{where} has the keyword {_show(keyword)}, which holds no word: remove it from 'keywords'"
            )
    return keywords
