"""Recorded rollouts, which ``sdar train --dry-run`` looks through before a model is loaded."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import garbage_json as j
import mutations as m
from garbage_places import sparse
from harness import Call, Kind, Make, Outcome

from sdar_cli.recipe.plan import Plan
from sdar_cli.rollout import recorded
from sdar_cli.rollout.episode import Episode, Turn
from sdar_envs.base import Task


def _episode(sample: int) -> dict[str, Any]:
    turn = Turn(0, [1, 2], [9, 1, 2], [3, 4], [-0.5, -1.0], "prompt 🦊", "größer", "look", None, "a spoon", 0.5)
    episode = Episode(Task("t-1", "clean", "bring it", {"seed": 3}), "goal", 0, sample, skills=("general",), score=0.5)
    episode.turns = [turn, dataclasses.replace(turn, index=1, teacher_prompt_ids=None, logprobs=None)]
    return {"format": 1, "step": sample, **dataclasses.asdict(episode)}


LINES = [json.loads(json.dumps(_episode(sample))) for sample in range(2)]
READ = [
    *((0, key) for key in LINES[0]),
    *((0, "task", key) for key in ("id", "task_type")),
    *((0, "turns", 0, key) for key in LINES[0]["turns"][0]),
    *((0, "turns", 0, key, 0) for key in ("prompt_ids", "teacher_prompt_ids", "response_ids", "logprobs")),
]
NULLABLE = {"error", "action", "invalid", "teacher_prompt_ids", "logprobs"}
OPTIONAL = {"skills", "has_task_skill", "turns", "stop", "reward", "won", "score", "error", "truncated"}
TOKENS = [(0, "turns", 0, key, 1) for key in ("prompt_ids", "teacher_prompt_ids", "response_ids")]
COUNTS = [(0, "step"), (0, "group"), (0, "sample"), (0, "turns", 0, "index")]
NUMBERS = [*TOKENS, *COUNTS, (0, "reward"), (0, "score"), (0, "turns", 0, "reward"), (0, "turns", 0, "logprobs", 0)]


class _Planned:
    """Instead of a plan: what was recorded."""

    def __init__(self, found: list[Any]) -> None:
        self.found = found

    def to_json(self) -> Any:
        (steps,) = self.found
        return {step: [dataclasses.asdict(one) for one in episodes] for step, episodes in steps.items()}


@contextlib.contextmanager
def _planning() -> Iterator[None]:
    found: list[Any] = []
    read = recorded.read_rollouts

    def reading(*words: Any) -> Any:
        found.append(read(*words))
        return found[-1]

    with (
        mock.patch.object(recorded, "read_rollouts", reading),
        mock.patch.object(Plan, "make", lambda *words: _Planned(found)),
    ):
        yield


def call(name: str) -> Call:
    words = ["train", "--recipe", "quickstart", "--dry-run", "--json", f"rollout.replay={name}"]
    return Call(words, within=_planning)


def _packed(random: Random, data: bytes) -> tuple[str, bytes]:
    if random.random() < 0.5:
        return "r.jsonl", data
    return "r.jsonl.gz", gzip.compress(data, random.randrange(10), mtime=0)


def _with(content: Callable[[Random], bytes]) -> Make:
    def make(folder: Path, random: Random) -> Call:
        name, data = _packed(random, content(random))
        (folder / name).write_bytes(data)
        return call(name)

    return make


def text_of(lines: list[Any]) -> bytes:
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def plain(folder: Path, random: Random) -> Call:
    (folder / "r.jsonl").write_bytes(text_of(LINES))
    return call("r.jsonl")


def read_back(outcome: Outcome) -> Any:
    return json.loads(outcome.out)


def _spliced(at: m.Keys, raw: str) -> bytes:
    first, *rest = at
    lines = [json.dumps(line, ensure_ascii=False) for line in LINES]
    lines[int(first)] = m.spliced(LINES[int(first)], tuple(rest), raw)
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogatepass")


def _type(random: Random) -> bytes:
    at = random.choice(READ)
    value = m.get(LINES, at)
    others = [one for one in m.other_types(value) if not (one is None and at[-1] in NULLABLE)]
    if isinstance(value, float):
        others = [one for one in others if type(one) is not int]
    if at[-1] in ("action", "invalid", "error"):
        others = [one for one in others if not isinstance(one, str)]
    if at[-1] in ("skills", "turns"):
        others = [one for one in others if not isinstance(one, list)] + [[7]]
    return text_of(m.put(LINES, at, random.choice(others)))


def _missing(random: Random) -> bytes:
    at = random.choice([at for at in READ if at[-1] not in OPTIONAL and isinstance(at[-1], str)])
    return text_of((m.without if random.random() < 0.5 else lambda t, a: m.misspelt(t, a, random))(LINES, at))


def _number(random: Random) -> bytes:
    at = random.choice(NUMBERS)
    raws = (*m.NUMBERS, "true", '"1"', *(("-1", "2147483648", "9" * 18, "1.5") if at in (*TOKENS, *COUNTS) else ()))
    return _spliced(at, random.choice(raws))


def _edited(random: Random) -> bytes:
    """Turns that are no training rows."""
    turn = LINES[0]["turns"][0]
    wrong = random.choice(
        (
            {"prompt_ids": []},
            {"teacher_prompt_ids": []},
            {"logprobs": []},
            {"logprobs": [-0.5] * 3},
            {"response_ids": turn["response_ids"] * 2},
            {"index": random.choice((1, 7))},
        )
    )
    return text_of(m.put(LINES, (0, "turns", 0), {**turn, **wrong}))


def _line(random: Random) -> bytes:
    """A line that is no episode before one that is."""
    wrong = random.choice((m.nothing(random).strip() or b" ", m.cut(text_of(LINES[:1])[:-1], random)))
    return wrong + b"\n" + text_of(LINES)


@cache
def _member(piece: bytes) -> bytes:
    return gzip.compress(piece * (32 << 20), 1, mtime=0)


def _bomb(folder: Path, random: Random) -> Call:
    """A thousandth of what it becomes."""
    member = _member(random.choice((b"[", b"0", b" ", b"\n", b'"')))
    (folder / "r.jsonl.gz").write_bytes(gzip.compress(text_of(LINES), mtime=0) + member * 4 + member[:9])
    return call("r.jsonl.gz")


def _size(folder: Path, random: Random) -> Call:
    name = random.choice(("r.jsonl", "r.jsonl.gz"))
    sparse(folder / name, 10 << 30)
    return call(name)


def _place(folder: Path, random: Random) -> Call:
    (folder / "r.jsonl").write_bytes(text_of(LINES))
    return j.displaced(call("r.jsonl"), folder / "r.jsonl", random)


def _packing(folder: Path, random: Random) -> Call:
    """What is no gzip at all, or damaged in its middle."""
    data = bytearray(gzip.compress(text_of(LINES[:1]), mtime=0) + gzip.compress(text_of(LINES[1:]), mtime=0))
    if random.random() < 0.5:
        data = bytearray(text_of(LINES))
    else:
        data[random.randrange(3)] ^= 0x55
    (folder / "r.jsonl.gz").write_bytes(bytes(data))
    return call("r.jsonl.gz")


def _blind(folder: Path, random: Random) -> Call:
    name, data = _packed(random, text_of(LINES))
    (folder / name).write_bytes(random.choice((m.flip, m.cut))(data, random))
    return call(name)


# -- valid ----------------------------------------------------------------------------------------------------


def _spelling(random: Random) -> bytes:
    lines = [m.json_spelling(line, random).replace("\r", " ").replace("\n", " ") for line in LINES]
    return ("\n".join(lines) + random.choice(("", "\n"))).encode()


def _torn(random: Random) -> bytes:
    """A last line that was cut off is left out."""
    return text_of(LINES) + m.cut(text_of(LINES[:1])[:-1], random)


def _again(random: Random) -> bytes:
    """Episodes in another order; an earlier one is replaced by a later."""
    first = json.loads(json.dumps(LINES[0])) | {"goal": "another", "won": True}
    return text_of([first, *LINES] if random.random() < 0.5 else [first, *reversed(LINES)])


def _unknown(random: Random) -> bytes:
    return text_of(m.with_unknown(LINES, random.choice([(0,), (1,), (0, "turns", 1)]), random))


def _members(folder: Path, random: Random) -> Call:
    text = text_of(LINES)
    at = random.randrange(len(text))
    parts = [gzip.compress(part, random.randrange(10), mtime=9) for part in (text[:at], text[at:], b"")]
    (folder / "r.jsonl.gz").write_bytes(b"".join(parts))
    return call("r.jsonl.gz")


def _link(folder: Path, random: Random) -> Call:
    (folder / "kept").write_bytes(text_of(LINES))
    (folder / "r.jsonl").symlink_to("kept")
    return call("r.jsonl")


KIND = Kind(
    "recording",
    plain,
    {
        "cut": _packing,
        "encoding": _with(lambda random: m.not_utf8(text_of(LINES), random) + b"\n" + text_of(LINES)),
        "surrogate": _with(lambda random: _spliced((0, random.choice(("goal", "stop"))), m.half_pair(random))),
        "depth": _with(
            lambda random: _spliced(random.choice([(0, "goal"), (0, "task", "data"), *NUMBERS]), m.nested(random))
        ),
        "size": _size,
        "bomb": _bomb,
        "type": _with(_type),
        "number": _with(_number),
        "missing": _with(_missing),
        "duplicate": _with(
            lambda random: b"\n".join(
                (
                    m.twice(LINES[0], random.choice([("step",), ("turns",), ("turns", 0, "reward")]), random).encode(),
                    text_of(LINES),
                )
            )
        ),
        "empty": _with(_line),
        "edited": _with(_edited),
        "place": _place,
        "mixed": _with(lambda random: m.not_utf8(random.choice((_type, _number, _missing))(random), random)),
    },
    {
        "spelling": _with(_spelling),
        "torn": _with(_torn),
        "again": _with(_again),
        "unknown": _with(_unknown),
        "members": _members,
        "links": _link,
    },
    read_back,
    {"blind": _blind},
)
