"""Names of modules in an adapter's configuration: lists, and regular expressions, which PEFT takes too.

A regular expression can be made that never ends. One is taken where its form shows that it does: only single characters
are repeated, and the ways in which a name could be matched, counted by the form alone, are few.
"""

from __future__ import annotations

import re
from itertools import pairwise
from math import comb
from typing import Any

LONGEST, MOST_LETTERS = 2000, 200_000
"""Letters of an expression, and of all."""
MOST_WAYS = 10**6
"""In which one name may be matched."""
NAME = 64
"""Letters of a module's name, for counting."""
DEEPEST = 20
"""Groups within one another."""
_TOKEN = re.compile(
    r"(?P<one>(?:\.|\[\^?(?:[\w.-]|\\[dws.-])+\]|\\[dwsDWS]))|(?P<letter>[\w-]|\\[.\-_])"
    r"|(?P<edge>\^|\$|\\b)|(?P<open>\((?:\?:)?)|(?P<close>\))|(?P<bar>\|)",
    re.ASCII,
)
_REPEAT = re.compile(r"(?:[*+?]|\{[0-9]{1,3}(?:,[0-9]{0,3})?\})\??")


class Unbounded(ValueError):
    """The form of an expression does not show that it ends."""


def are_names(value: Any) -> bool:
    """Whether it is None, one of PEFT's own words, or names."""
    if isinstance(value, list):
        return all(isinstance(name, str) and re.fullmatch(r"[\w.-]{1,500}", name) for name in value)
    return value is None or (isinstance(value, str) and re.fullmatch(r"[\w-]{1,500}", value) is not None)


def ends(*expressions: str, prefix: int = 0) -> bool:
    """Whether matching them, one after another, comes to an end.

    Args:
        prefix: repeats that PEFT puts before each.
    """
    if sum(map(len, expressions)) > MOST_LETTERS:
        return False
    try:
        return sum(_ways(expression, prefix) for expression in expressions) <= MOST_WAYS
    except (Unbounded, re.error, OverflowError):
        return False


def _ways(expression: str, prefix: int) -> int:
    if len(expression) > LONGEST:
        raise Unbounded
    reader = _Reader(expression)
    found = reader.alternatives(0)
    if reader.place < len(expression):
        raise Unbounded
    re.compile(expression)
    return sum(ways * comb(NAME + repeats + prefix, repeats + prefix) for repeats, ways, _ in found)


Form = tuple[int, int, str | None]
"""Of a branch: repeats in it, ways in which these are not counted, and its text where it is letters alone."""


class _Reader:
    def __init__(self, expression: str) -> None:
        self.expression = expression
        self.place = 0

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self.expression, self.place)
        if match is not None:
            self.place = match.end()
        return match

    def alternatives(self, depth: int) -> list[Form]:
        """Branches with ``|`` between, to the end or to the bracket that closes the group."""
        if depth > DEEPEST:
            raise Unbounded
        branches = [self._branch(depth)]
        while self.expression.startswith("|", self.place):
            self.place += 1
            branches.append(self._branch(depth))
        return branches

    def _branch(self, depth: int) -> Form:
        repeats, ways, text = 0, 1, ""
        while not self.expression.startswith(("|", ")"), self.place) and self.place < len(self.expression):
            token = self._take(_TOKEN)
            if token is None:
                raise Unbounded
            if token.lastgroup == "open":
                inner = self.alternatives(depth + 1)
                if not self.expression.startswith(")", self.place):
                    raise Unbounded
                self.place += 1
                repeats += max(form[0] for form in inner)
                ways *= _of_group(inner)
                text = None
                continue
            repeated = token.lastgroup != "edge" and self._take(_REPEAT) is not None
            repeats += repeated
            plain = token.lastgroup == "letter" and not repeated
            text = text + token.group().removeprefix("\\") if plain and text is not None else None
        return repeats, ways, text


def _of_group(branches: list[Form]) -> int:
    """Ways through a group: one where its branches are words of which none begins another."""
    words = [text for *_, text in branches]
    if None not in words:
        ordered = sorted(words)
        if not any(after.startswith(word) for word, after in pairwise(ordered)):
            return 1
    return sum(ways for _, ways, _ in branches)
