"""``metrics.jsonl``: torn lines are left out; what is no file at all is a sentence of ``sdar runs show``."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import garbage_json as j
import garbage_runs
import mutations as m
from garbage_places import sparse
from harness import Call, Kind, Outcome

FILE = Path("runs/a/metrics.jsonl")
TALKATIVE = ("step", "loss/total", "rollout/success", "eval/no_skills/success")


@cache
def _rows() -> list[dict[str, Any]]:
    lines = (garbage_runs.made() / "a/metrics.jsonl").read_bytes().splitlines()
    return [json.loads(line) for line in lines]


def _call(folder: Path, content: bytes | None = None) -> Call:
    garbage_runs.lay(folder)
    if content is not None:
        (folder / FILE).write_bytes(content)
    return Call(["runs", "show", "a", "--runs", "runs"])


def plain(folder: Path, random: Random) -> Call:
    return _call(folder)


def read_back(outcome: Outcome) -> str:
    return re.search(r"last step +(.*)", outcome.out.decode())[1].strip()


def _text(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _place(folder: Path, random: Random) -> Call:
    gone = frozenset({"missing", "dangling link"})
    return j.displaced(_call(folder), folder / FILE, random, gone)


def _size(folder: Path, random: Random) -> Call:
    call = _call(folder)
    sparse(folder / FILE, random.choice(((1 << 30) + 1, 10 << 30)))
    return call


# -- what may be in it ----------------------------------------------------------------------------------------


def _junk(folder: Path, random: Random) -> Call:
    """Lines between the others that nobody can read, or that say nothing of a step."""
    junk = (
        *(b"", b"{", b"null", b"[]", b"7", b'"x"', b"\xff\xfe", b"\0" * 9, b"{}", b'{"step": "5"}', b'{"rewind": "x"}'),
        *(b'{"step": true}', b'{"step": -1}', b'{"rewind": 1e999}', b'{"step": NaN}', m.nested(random).encode()),
        *(b'{"step": %s}' % raw.encode() for raw in m.NUMBERS),
        b"x" * (3 << 20),
    )
    lines = [json.dumps(row).encode() for row in _rows()]
    for _ in range(random.randint(1, 4)):
        lines.insert(random.randrange(len(lines) + 1), random.choice(junk))
    return _call(folder, b"\n".join(lines) + random.choice((b"\n", b'\n{"step": 9')))


def _values(folder: Path, random: Random) -> Call:
    """Values that are no numbers, of measures beside the others."""
    odd = random.choice((*m.NUMBERS, '"x"', "[]", "{}", "true", "[1]"))
    rows = _rows()
    lines = [json.dumps(row)[:-1] + f', "{random.choice(("", "odd", "größer"))}": {odd}' + "}" for row in rows]
    if odd == "9" * 5000:  # a line that no reader of JSON takes
        lines = [json.dumps(row) for row in rows] + lines
    return _call(folder, "\n".join(lines).encode())


def _spelling(folder: Path, random: Random) -> Call:
    lines = [m.json_spelling(row, random).replace("\r", " ").replace("\n", " ") for row in _rows()]
    return _call(folder, (random.choice(("\n", "\r\n")).join(lines) + random.choice(("", "\n"))).encode())


def _again(folder: Path, random: Random) -> Call:
    """Steps that were played twice, with the mark of the rewind or without; a link; lines in pieces."""
    rows, at = _rows(), random.randrange(1, len(_rows()))
    rewound = [*rows[:at], {"rewind": rows[at - 1]["step"]}, *rows[at:]]
    pieces = [{"step": row["step"], name: row[name]} for row in rows for name in row if name != "step"]
    call = _call(folder, _text(random.choice((rewound, rows + rows, pieces))))
    if random.random() < 0.3:
        (folder / FILE).rename(folder / "kept")
        (folder / FILE).symlink_to("../../kept")
    return call


def _blind(folder: Path, random: Random) -> Call:
    data = _text(_rows())
    return _call(folder, random.choice((m.flip, m.cut, m.not_utf8))(data, random))


def _retyped(folder: Path, random: Random) -> Call:
    rows = _rows()
    return _call(folder, _text(m.retyped(rows, random.choice([at for at, _ in m.leaves(rows)]), random)))


KIND = Kind(
    "journal",
    plain,
    {"place": _place, "size": _size},
    {"junk": _junk, "values": _values, "spelling": _spelling, "again": _again},
    read_back,
    {"blind": _blind, "kinds": _retyped},
)
