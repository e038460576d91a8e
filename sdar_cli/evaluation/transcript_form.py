"""The form of a transcript's lines: what a reader of somebody's file may rely on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

FORMAT = 1
MOST = 1e12
"""Of any number, either way."""

Fits = Callable[[Any], bool]


def check(head: Any, episodes: Sequence[Any]) -> None:
    """
    Raises:
        ValueError: a line has another form than ``transcripts.save_transcript`` gives it.
    """
    if not _has(head, _HEAD) or head["format"] != FORMAT or not _gate(head.get("gate")):
        raise ValueError
    for episode in episodes:
        if not _has(episode, _EPISODE) or not all(map(_turn, episode["turns"])):
            raise ValueError


def _has(value: Any, keys: Mapping[str, Fits]) -> bool:
    return isinstance(value, dict) and all(name in value and fits(value[name]) for name, fits in keys.items())


def _turn(turn: Any) -> bool:
    if not _has(turn, _TURN) or (turn["gap"] is None) != (turn["gate"] is None):
        return False
    scored = (turn["gap"] or [], turn["gate"] or [])
    return turn["gap"] is None or all(len(values) == len(turn["tokens"]) for values in scored)


def _gate(value: Any) -> bool:
    """None, or the run's settings of its gate."""
    return value is None or (isinstance(value, dict) and all(map(_plain, value.values())))


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MOST


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _plain(value: Any) -> bool:
    return value is None or _text(value) or _flag(value) or _number(value)


def _or_none(fits: Fits) -> Fits:
    return lambda value: value is None or fits(value)


def _list_of(fits: Fits) -> Fits:
    return lambda value: isinstance(value, list) and all(map(fits, value))


def _texts(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_text, value.values()))


_HEAD: dict[str, Fits] = {
    "format": _number,
    "label": _text,
    "mode": _text,
    "step": _or_none(_number),
    "skills": _texts,
}
_EPISODE: dict[str, Fits] = {
    **dict.fromkeys(("task", "type", "goal", "stop", "prompt", "read"), _text),
    "won": _flag,
    "score": _number,
    "reward": _number,
    "error": _or_none(_text),
    "skills": _list_of(_text),
    "turns": _list_of(lambda value: isinstance(value, dict)),
}
_TURN: dict[str, Fits] = {
    "tokens": _list_of(_text),
    "gap": _or_none(_list_of(_or_none(_number))),
    "gate": _or_none(_list_of(_or_none(_number))),
    "action": _or_none(_text),
    "invalid": _or_none(_text),
    "answer": _text,
    "reward": _number,
    "truncated": _flag,
}
