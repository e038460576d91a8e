"""What an evaluation's file must hold before it is believed: the kind of each value."""

from __future__ import annotations

from collections.abc import Mapping
from types import NoneType
from typing import Any

Kinds = Mapping[str, tuple[type, ...]]
NUMBER, TEXT, COUNT = (int, float), (str,), (int,)

EVALUATION: Kinds = {
    "mode": TEXT,
    "label": TEXT,
    "environment": TEXT,
    "panel": TEXT,
    "sampling": (dict,),
    "seed": COUNT,
    "engine": TEXT,
    "records": (list, tuple),
    "seconds": NUMBER,
}
"""Values that every file has."""
BESIDE: Kinds = {
    "checkpoint": (str, NoneType),
    "step": (int, NoneType),
    "bank": (str, NoneType),
    "bank_digest": (str, NoneType),
    "split": (str, NoneType),
    "run": (str, NoneType),
    "extra": (dict,),
}
"""Values that may be left out."""
RECORD: Kinds = {
    "task_id": TEXT,
    "task_type": TEXT,
    "won": (bool,),
    "score": NUMBER,
    "reward": NUMBER,
    "turns": COUNT,
    "response_tokens": COUNT,
    "prompt_tokens": COUNT,
    "invalid_turns": COUNT,
    "stop": TEXT,
    "skills": (list, tuple),
}
COUNTS = ("turns", "response_tokens", "prompt_tokens", "invalid_turns")
RECORD_BESIDE: Kinds = {"error": (str, NoneType), "expert_turns": (int, NoneType)}


def check_evaluation(content: Mapping[str, Any]) -> None:
    """Raises ValueError where a value is missing or of another kind; the records are looked at one by one."""
    _check(content, EVALUATION, BESIDE)


def check_record(record: Any) -> Mapping[str, Any]:
    """The record of an episode as it is. Raises ValueError where it is none."""
    if not isinstance(record, dict):
        raise ValueError("a record is no mapping")
    _check(record, RECORD, RECORD_BESIDE)
    if unknown := record.keys() - RECORD.keys() - RECORD_BESIDE.keys():
        raise ValueError(f"a record has the unknown key {min(unknown)!r}")
    if not all(isinstance(skill, str) for skill in record["skills"]):
        raise ValueError("the skills of a record are no texts")
    counts = [record[name] for name in COUNTS] + [record.get("expert_turns") or 0]
    if min(counts) < 0:
        raise ValueError("a count of a record is below 0")
    return record


def _check(content: Mapping[str, Any], required: Kinds, beside: Kinds) -> None:
    for name, kinds in required.items():
        if name not in content:
            raise ValueError(f"it has no {name}")
        _kind(name, content[name], kinds)
    for name, kinds in beside.items():
        if name in content:
            _kind(name, content[name], kinds)


def _kind(name: str, value: Any, kinds: tuple[type, ...]) -> None:
    if type(value) not in kinds:
        raise ValueError(f"its {name} is not what it should be")
