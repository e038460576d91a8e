"""The axes of a study as one types them: ``gate.temperature=0.1,0.2,1``, ``distill.coef=log:1e-3..1e-1``.

KEY=A,B,C            these values, each read as YAML; brackets and quotes protect commas
KEY=LOW..HIGH        any number between the two, both included
KEY=LOW..HIGH/STEP   LOW, LOW + STEP, … up to HIGH
KEY=log:LOW..HIGH    any number between the two, each factor of ten as likely as another
KEY=int:LOW..HIGH    whole numbers; also int:LOW..HIGH/STEP and log:int:LOW..HIGH
KEY=VALUE            no axis: an override of every run
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from sdar_cli.errors import RecipeError
from sdar_cli.recipe.layers import SYNONYMS
from sdar_cli.recipe.overrides import LONGEST, parse_override
from sdar_cli.recipe.yaml_reader import parse, scalar

NOT_AXES = {
    "seed": "a cell is a setting over seeds: give them with --seeds",
    "name": "it names a run and changes nothing: remove it, or name the study with --name",
    "description": "it changes nothing: remove it",
    "tracking": "it changes where runs are shown and not what they do: remove it",
    "extends": "a study has one recipe: name it with --recipe",
}
"""Keys, with all below them, that no axis may be, and why."""

MOST_CHOICES = 1000
"""Values that an axis may list."""
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RANGE = re.compile(rf"\s*({_NUMBER})\s*\.\.\s*({_NUMBER})\s*(?:/\s*({_NUMBER})\s*)?\Z", re.ASCII)
_PREFIXES = re.compile(r"\s*((?:(?:log|int):)+)(.*)\Z", re.DOTALL)


class SpaceError(RecipeError):
    """A space, or a part of one, that cannot be searched."""


@dataclass(frozen=True, slots=True)
class Axis:
    """What varies: choices, or a range with both ends included."""

    key: str
    """As typed: ``gate.temperature`` stays so, although the recipe stores ``gate.beta``."""
    choices: tuple[Any, ...] | None = None
    low: float | None = None
    high: float | None = None
    log: bool = False
    step: float | None = None
    integer: bool = False

    @property
    def values(self) -> tuple[Any, ...] | None:
        """All values, in order; None of a continuous axis."""
        if self.choices is not None:
            return self.choices
        if self.step is None and not self.integer:
            return None
        return tuple(self.at(index) for index in range(self.count or 0))

    @property
    def count(self) -> int | None:
        """How many values there are; None for a continuous axis."""
        if self.choices is not None:
            return len(self.choices)
        if self.low is None or self.high is None or (self.step is None and not self.integer):
            return None
        return math.floor((self.high - self.low) / (self.step or 1) * (1 + 1e-12)) + 1

    @property
    def corners(self) -> tuple[Any, ...]:
        """The choices, or the two ends of the range."""
        return self.choices if self.choices is not None else (self.number(self.low), self.number(self.high))

    def at(self, index: int) -> Any:
        """The value at a place of an axis that is not continuous."""
        if self.choices is not None:
            return self.choices[index]
        return self.number(float(f"{self.low + index * (self.step or 1):.12g}"))

    def number(self, value: float) -> float | int:
        """A number of the range: whole where the axis is, kept within its ends."""
        value = min(max(value, self.low), self.high)
        return round(value) if self.integer else float(value)

    def __str__(self) -> str:
        """As one types it."""
        if self.choices is not None:
            return f"{self.key}={','.join(as_yaml(choice) for choice in self.choices)}"
        kinds = "log:" * self.log + "int:" * self.integer
        step = "" if self.step is None else f"/{self.step:g}"
        return f"{self.key}={kinds}{self.low:.15g}..{self.high:.15g}{step}"


def as_yaml(value: Any) -> str:
    """A value as it is typed behind ``KEY=``: readable as YAML, on one line."""
    if isinstance(value, str):
        plain = re.fullmatch(r"[\w./][\w./ -]*", value) and value == value.strip() and isinstance(scalar(value), str)
        return value if plain and not _RANGE.match(value) else json.dumps(value, ensure_ascii=False)
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return json.dumps(value, ensure_ascii=False)


def same(key: str, other: str) -> bool:
    """Whether two keys set the same value, under whichever of its names."""
    return SYNONYMS.get(key, key) == SYNONYMS.get(other, other)


def read_words(words: Sequence[str]) -> tuple[tuple[Axis, ...], tuple[str, ...]]:
    """Axes, and the overrides of every run, from words of a command line.

    Raises:
        RecipeError: one sentence that names the word.
    """
    axes: list[Axis] = []
    fixed: list[str] = []
    for word in words:
        axis = read_word(word)
        if axis is None:
            fixed.append(word)
        else:
            axes.append(axis)
    check_keys(axes, fixed)
    return tuple(axes), tuple(fixed)


def read_word(word: str) -> Axis | None:
    """The axis that ``KEY=…`` is, or None for a plain override."""
    key, separator, text = word.partition("=")
    key = key.strip()
    if len(word) > LONGEST:
        raise SpaceError(f"the axis {key[:60]} has {len(word)} letters: put what is long into a file")
    ranged = _PREFIXES.match(text) or _RANGE.match(text)
    if not separator or not ranged:
        pieces = split_commas(text)
        if not separator or len(pieces) == 1:
            parse_override(word)
            return None
        parse_override(f"{key}=0")
        _few_enough(key, pieces)
        return _choices(key, [_piece(key, piece) for piece in pieces])
    parse_override(f"{key}=0")
    return _range(key, text)


def read_value(key: str, value: Any) -> Axis | str:
    """The axis, or the override, that an entry of a space file is: a list, a scalar, or text as on the command line."""
    if parse_override(f"{key}=0")[0] != key:
        raise SpaceError(f"the axis {key!r} is no key: write dotted words, for example gate.beta")
    if isinstance(value, list):
        if not value:
            raise SpaceError(f"the axis {key} has no values: list some, or remove it")
        _few_enough(key, value)
        return _choices(key, value) if len(value) > 1 else f"{key}={as_yaml(value[0])}"
    word = f"{key}={value}" if isinstance(value, str) else f"{key}={as_yaml(value)}"
    return read_word(word) or word


def check_keys(axes: Sequence[Axis], fixed: Sequence[str]) -> None:
    """
    Raises:
        SpaceError: a key that cannot be an axis, that stands twice, or that overlaps another.
    """
    fixed_keys = [parse_override(word)[0] for word in fixed]
    for index, axis in enumerate(axes):
        if (why := NOT_AXES.get(axis.key.partition(".")[0])) is not None:
            raise SpaceError(f"{axis.key} cannot be an axis, as {why}")
        for other in [*(axis.key for axis in axes[:index]), *fixed_keys]:
            if axis.key == other:
                raise SpaceError(f"{axis.key} is given twice: keep one of them")
            if same(axis.key, other):
                raise SpaceError(f"{other} and {axis.key} are the same wish: keep one of them")
            if axis.key.startswith(f"{other}.") or other.startswith(f"{axis.key}."):
                raise SpaceError(f"{other} and {axis.key} set the same section: keep one of them, or write it out")


def split_commas(text: str) -> list[str]:
    """The parts between commas that no bracket and no quote protects."""
    starts = [0]
    depth, quote, escaped = 0, "", False
    before = ""
    """The last letter of the part that is no space: a quote opens at the start of a value only (not in ``don't``)."""
    for place, letter in enumerate(text):
        if letter == "," and not quote and not depth:
            starts.append(place + 1)
            before = ""
            continue
        if quote:
            closes = letter == quote and not escaped
            escaped = quote == '"' and letter == "\\" and not escaped
            quote = "" if closes else quote
        elif letter in "'\"" and before in ("", *"[{,:"):
            quote = letter
        else:
            depth = max(0, depth + (letter in "[{") - (letter in "]}"))
        before = before if letter.isspace() else letter
    return [text[start : end - 1] for start, end in pairwise([*starts, len(text) + 1])]


def _few_enough(key: str, values: Sequence[Any]) -> None:
    if len(values) > MOST_CHOICES:
        raise SpaceError(f"the axis {key} lists {len(values)} values: list at most {MOST_CHOICES}, or give a range")


def _piece(key: str, text: str) -> Any:
    if not text.strip():
        raise SpaceError(f"the axis {key} has an empty choice between its commas: remove a comma, or write null")
    return parse(text.strip(), f"the axis {key}").value


def _choices(key: str, values: Sequence[Any]) -> Axis:
    seen: set[str] = set()
    for value in values:
        try:
            text = _identity(value)
        except ValueError:
            raise SpaceError(f"the axis {key} has a choice that is not finite: give numbers with an end") from None
        if text in seen:
            raise SpaceError(f"the axis {key} has {as_yaml(value)} twice: keep it once")
        seen.add(text)
    return Axis(key, choices=tuple(values))


def _identity(value: Any) -> str:
    """Equal for values that a recipe could not tell apart: 1 and 1.0, not 1 and true.

    Raises ValueError for inf and nan.
    """
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    return json.dumps(value, sort_keys=True, allow_nan=False)


def _range(key: str, text: str) -> Axis:
    prefixes, rest = "", text
    if (marked := _PREFIXES.match(text)) is not None:
        prefixes, rest = marked[1], marked[2]
    kinds = prefixes.split(":")[:-1]
    where = f"the axis {key}={text.strip()}"
    match = _RANGE.match(rest)
    if match is None or len(set(kinds)) < len(kinds):
        example = f"{key}={prefixes if len(set(kinds)) == len(kinds) else kinds[0] + ':'}1..10"
        raise SpaceError(f"{where} is no range: write for example {example}")
    low, high = float(match[1]), float(match[2])
    step = None if match[3] is None else float(match[3])
    log, integer = "log" in kinds, "int" in kinds
    if not all(map(math.isfinite, (low, high, step or 0.0))):
        raise SpaceError(f"{where} is not finite: give ends that a computer can hold")
    if not math.isfinite(high - low) or not math.isfinite((high - low) / (step or 1.0)):
        raise SpaceError(f"{where} is wider than a computer can count: give ends that are nearer, or a larger step")
    if low >= high:
        raise SpaceError(f"{where} does not rise: give the lower end first, or one value without '..'")
    if log and low <= 0:
        raise SpaceError(f"{where} starts at {low:g}, which has no logarithm: start above 0")
    if log and step is not None:
        raise SpaceError(f"{where} has a step on a logarithmic axis: list the values instead, with commas")
    if step is not None and not 0 < step <= high - low:
        raise SpaceError(f"{where} has a step that does not fit between its ends: give one of at most {high - low:g}")
    if integer and not all(value is None or value.is_integer() for value in (low, high, step)):
        raise SpaceError(f"{where} is not whole: give whole numbers, or leave 'int:' out")
    if integer and max(abs(low), abs(high)) >= 2**53:
        raise SpaceError(f"{where} is too large for whole numbers: stay below 2^53")
    return Axis(key, low=low, high=high, log=log, step=step, integer=integer)
