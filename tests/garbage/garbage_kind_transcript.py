"""Transcripts of evaluations, as ``sdar compare`` puts them into a page."""

from __future__ import annotations

import atexit
import gzip
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import deepcopy
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).parents[1] / "compare"))

import mutations as m
from compare_runs import make_run
from garbage_places import PLACES, denied, sparse
from harness import Call, Kind, Outcome

FILE = Path("runs/a/transcripts/base-no_skills.jsonl.gz")
HEAD: dict[str, Any] = {
    "format": 1,
    "evaluation": "base-no_skills",
    "run": "a",
    "label": "base",
    "mode": "no_skills",
    "step": 0,
    "environment": "household",
    "panel": "ab" * 32,
    "skills": {"general": "Take the thing first."},
    "temperature": 1.0,
    "gate": {"kind": "gap", "beta": 5.0},
}
TURN: dict[str, Any] = {
    "tokens": ["<action>", " look 🦊", " </action>", ""],
    "gap": [0.5, -0.25, None, 0.0],
    "gate": [0.9, 0.1, None, 0.5],
    "action": "look",
    "invalid": None,
    "answer": "You see nothing.",
    "reward": 0.5,
    "truncated": False,
}
EPISODE: dict[str, Any] = {
    "task": "t-1",
    "type": "clean",
    "goal": "bring it.",
    "won": True,
    "score": 1.0,
    "reward": 10.0,
    "stop": "success",
    "error": None,
    "skills": ["general"],
    "prompt": "<|im_start|>user",
    "read": "You see a spoon.",
    "turns": [TURN, TURN | {"gap": None, "gate": None, "action": None, "invalid": "no action tag"}],
}
LINES = [HEAD, EPISODE, EPISODE | {"task": "t-2", "won": False, "turns": []}]
READ = [
    *((0, key) for key in ("format", "label", "mode", "step", "skills", "gate")),
    *((1, key) for key in EPISODE),
    *((1, "turns", 0, key) for key in TURN),
]
"""What a page uses of the lines."""
NULLABLE = {"step", "gate", "error", "gap", "action", "invalid"}
NUMBERS = [
    (1, "score"),
    (1, "reward"),
    (1, "turns", 0, "reward"),
    (1, "turns", 0, "gap", 1),
    (1, "turns", 0, "gate", 1),
]


@cache
def _runs() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="garbage-runs-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name, won in (("a", 0.6), ("b", 0.3)):
        make_run(folder, name, won=won, tasks=4, steps=4, every=0)
    return folder


def call(within: Callable[[], AbstractContextManager[Any]] = nullcontext, put: str | None = None) -> Call:
    words = ["compare", "a", "b", "--runs", "runs", "--html", "out.html"]
    return Call(words, outputs=("out.html",), within=partial(_templates_kept, within), put=put)


@contextmanager
def _templates_kept(within: Callable[[], AbstractContextManager[Any]]) -> Iterator[None]:
    """The page's templates are compiled once a process, as a command does, not once a call."""
    from sdar_cli.compare.html import page

    with mock.patch.object(page, "_templates", return_value=_templates()), within():
        yield


@cache
def _templates() -> Any:
    from sdar_cli.compare.html import page

    return page._templates()


@cache
def _piece(piece: bytes) -> bytes:
    return gzip.compress(piece * (32 << 20), 9, mtime=0)


def _lay(folder: Path, data: bytes | None) -> Path:
    shutil.copytree(_runs(), folder / "runs")
    path = folder / FILE
    path.parent.mkdir(exist_ok=True)
    if data is not None:
        path.write_bytes(data)
    return path


def text_of(lines: list[Any]) -> bytes:
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def _with(content: Callable[[Random], bytes]) -> Callable[[Path, Random], Call]:
    """The file with this in it, packed."""

    def make(folder: Path, random: Random) -> Call:
        _lay(folder, gzip.compress(content(random), 1, mtime=0))
        return call()

    return make


def plain(folder: Path, random: Random) -> Call:
    return _with(lambda random: text_of(LINES))(folder, random)


def read_back(outcome: Outcome) -> Any:
    page = (outcome.folder / "out.html").read_text(encoding="utf-8")
    data = json.loads(re.search(r"<script[^>]*>(\{.*?\})\s*</script>", page, re.DOTALL)[1])
    return [data["files"], data["texts"]]


def _spliced(at: m.Keys, raw: str) -> bytes:
    first, *rest = at
    lines = [json.dumps(line) for line in LINES]
    lines[int(first)] = m.spliced(LINES[int(first)], tuple(rest), raw)
    return "\n".join(lines).encode()


def _nullable(at: m.Keys) -> bool:
    return at[-1] in NULLABLE or at[-2:-1] in (("gap",), ("gate",))


def retyped(random: Random) -> bytes:
    at = random.choice(READ)
    others = [one for one in m.other_types(m.get(LINES, at)) if not (one is None and _nullable(at))]
    number = isinstance(m.get(LINES, at), int | float) and not isinstance(m.get(LINES, at), bool)
    texts = at[-1] in ("action", "invalid", "error")
    fitting = (
        (lambda one: type(one) in (int, float)) if number or at[-1] == "step" else (lambda one: isinstance(one, str))
    )
    if number or texts or at[-1] == "step":
        others = [one for one in others if not fitting(one)]
    if at[-1] == "gate" and len(at) == 2:
        others = [one for one in others if not isinstance(one, dict)]
    if at[-1] in ("skills", "tokens", "gap", "gate", "turns") and len(at) > 1:
        others = [one for one in others if one not in ([], {})]
    return text_of(m.put(LINES, at, random.choice(others)))


def missing(random: Random) -> bytes:
    at = random.choice([at for at in READ if at != (0, "gate")])
    return text_of(m.without(LINES, at))


def misspelt(random: Random) -> bytes:
    at = random.choice([at for at in READ if at != (0, "gate")])
    return text_of(m.misspelt(LINES, at, random))


def number(random: Random) -> bytes:
    return _spliced(random.choice(NUMBERS), random.choice((*m.NUMBERS, "1e13", "-1e300")))


def uneven(random: Random) -> bytes:
    """Scores that are not those of the tokens."""
    changed = deepcopy(LINES)
    turn = changed[1]["turns"][0]
    turn[random.choice(("gap", "gate"))] = random.choice(([], [0.5], [0.5] * 9, None))
    return text_of(changed)


def cut(folder: Path, random: Random) -> Call:
    _lay(folder, m.cut(gzip.compress(text_of(LINES), mtime=0), random))
    return call()


def flip(folder: Path, random: Random) -> Call:
    _lay(folder, m.flip(gzip.compress(text_of(LINES), mtime=0), random))
    return call()


def bomb(folder: Path, random: Random) -> Call:
    """A thousandth of what it becomes."""
    piece = random.choice((b"[", b"0", b" ", b"\n", b'"'))
    _lay(folder, gzip.compress(text_of([HEAD]), mtime=0) + _piece(piece) * 5)
    return call()


def size(folder: Path, random: Random) -> Call:
    sparse(_lay(folder, None), random.choice(((1 << 27) + 1, 10 << 30)))
    return call()


def place(folder: Path, random: Random) -> Call:
    path = _lay(folder, None)
    if random.random() < 0.2:
        path.write_bytes(gzip.compress(text_of(LINES)))
        return call(within=lambda: denied(path), put="denied")
    put = random.choice(("folder", "pipe", "socket", "device", "dangling link", "loop"))
    PLACES[put](path)
    return call(put=put)


def empty(folder: Path, random: Random) -> Call:
    if random.random() < 0.3:
        _lay(folder, m.nothing(random))
    else:
        _lay(folder, gzip.compress(m.nothing(random), mtime=0))
    return call()


def mixed(random: Random) -> bytes:
    return m.not_utf8(random.choice((missing, retyped, number))(random), random)


REFUSED = {
    "encoding": lambda random: m.not_utf8(text_of(LINES), random),
    "control": lambda random: _spliced((1, "goal"), f'"a{chr(random.choice([*range(10), 11, 12, *range(14, 32)]))}b"'),
    "depth": lambda random: _spliced(random.choice(READ), m.nested(random)),
    "type": retyped,
    "number": number,
    "missing": missing,
    "misspelt": misspelt,
    "edited": uneven,
    "mixed": mixed,
}


def spelling(random: Random) -> bytes:
    lines = [m.json_spelling(line, random).replace("\r", " ").replace("\n", " ") for line in LINES]
    return ("\n".join(lines) + random.choice(("", "\n"))).encode()


def members(folder: Path, random: Random) -> Call:
    """Gzip of several members, of another level, or with a name in it."""
    text = text_of(LINES)
    at = random.randrange(len(text))
    level = random.randrange(10)
    _lay(folder, gzip.compress(text[:at], level, mtime=7) + gzip.compress(text[at:], level))
    return call()


def unknown(random: Random) -> bytes:
    at = random.choice([(0,), (1,), (1, "turns", 0)])
    return text_of(m.with_unknown(LINES, at, random))


def linked(folder: Path, random: Random) -> Call:
    path = _lay(folder, None)
    (folder / "elsewhere").write_bytes(gzip.compress(text_of(LINES)))
    path.symlink_to("../../../elsewhere")
    return call()


KIND = Kind(
    "transcript",
    plain,
    {
        "cut": cut,
        "bomb": bomb,
        "size": size,
        "place": place,
        "empty": empty,
        **{name: _with(content) for name, content in REFUSED.items()},
    },
    {"spelling": _with(spelling), "members": members, "unknown keys": _with(unknown), "links": linked},
    read_back,
    {"flip": flip},
    talk=r"(wrote|writing) .*",
)
